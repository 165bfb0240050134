import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Act } from '../audit/act.ts'
import { openSigningKeys } from './signing-keys.ts'

const lifeMs = 900_000

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aicm-signing-keys-'))
})
afterEach(() => rm(dir, { recursive: true }))

const setUp = async () => {
  const time = { now: Date.parse('2026-11-25T12:00:00Z') }
  const acts: Act[] = []
  const audit = { record: async (act: Act) => void acts.push(act) }
  const open = () => openSigningKeys(dir, { clock: { now: () => time.now }, lifeMs, audit })
  return { time, acts, open, keys: await open() }
}

const removed = (keyId: string): Act => ({ action: 'server.signing_key', detail: { keyId } })

test('a key that was replaced is removed when what it signed has expired, not before, and that is in the audit log', async () => {
  const { time, acts, keys } = await setUp()
  const old = keys.newest()
  const replacedAt = time.now
  await keys.rotate()
  time.now = replacedAt + lifeMs - 1
  await keys.tidy()
  expect([keys.find(old.id), acts]).toEqual([old.secret, []])
  time.now += 1
  await keys.tidy()
  expect([keys.find(old.id), acts]).toEqual([undefined, [removed(old.id)]])
  expect(await readdir(dir)).toEqual(['jwt.key'])
  await keys.tidy()
  expect(acts).toHaveLength(1)
})

test('the same at a start, for a key whose file is damaged too', async () => {
  const { time, acts, keys, open } = await setUp()
  const old = keys.newest()
  await keys.rotate()
  await writeFile(join(dir, `jwt.key.${time.now - 1}`), 'half')
  time.now += lifeMs
  const { id } = keys.newest()
  expect((await open()).newest().id).toBe(id)
  expect(acts).toHaveLength(2)
  expect(acts).toContainEqual(removed(old.id))
  expect(await readdir(dir)).toEqual(['jwt.key'])
})
