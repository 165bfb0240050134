import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { userRecord } from '@aicm/testing/conformance'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Act } from '../audit/act.ts'
import { AppError } from '../lib/app-error.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createAccessChanges } from './access-changes.ts'
import { createLogins } from './logins.ts'
import { hashesOf } from './refresh-token.ts'
import { openSigningKeys } from './signing-keys.ts'
import { accessLifeSeconds, createAccessTokens } from './tokens.ts'

const day = 24 * 3600_000

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aicm-logins-'))
})
afterEach(() => rm(dir, { recursive: true }))

/** Two logins of a user, and a clock to be moved. */
const setUp = async () => {
  const time = { now: Date.parse('2026-11-25T12:00:00Z') }
  const clock = { now: () => time.now }
  const database = openMemoryDatabase()
  const user = userRecord()
  await database.users.create(user)
  const acts: Act[] = []
  const audit = { record: async (act: Act) => void acts.push(act) }
  const accessTokens = createAccessTokens(
    await openSigningKeys(dir, { clock, lifeMs: accessLifeSeconds * 1000, audit }),
    clock,
  )
  const open = () => createLogins(database, { accessTokens, changes: createAccessChanges(), clock, audit, most: 9 })
  const logins = await open()
  const first = await logins.start(user, undefined)
  const other = await logins.start(user, undefined)
  const { grant } = await accessTokens.verify(first.accessToken)
  return { time, database, accessTokens, open, logins, user, first, other, id: grant.id, acts }
}

const invalid = { code: 'invalid_refresh_token' }

test('what the server ends by itself it tells the audit log, with the reason', async () => {
  const { time, logins, user, first, other, id, acts, accessTokens } = await setUp()
  const told = (target: string, reason: string) => ({
    ...{ action: 'logins.ended', userId: user.id, username: user.username, target },
    detail: { reason },
  })
  await logins.refresh(first.refreshToken)
  await expect(logins.refresh(first.refreshToken)).rejects.toMatchObject({
    code: 'refresh_token_reused',
    about: { userId: user.id, username: user.username, target: id },
  })
  expect(acts).toEqual([told(id, 'reused')])
  const { grant } = await accessTokens.verify(other.accessToken)
  // Nine have room; the oldest that is left has none beside them.
  time.now += 1
  for (let more = 0; more < 9; more++) await logins.start(user, undefined)
  expect(acts.slice(1)).toEqual([told(grant.id, 'room')])
})

test('a login that was revoked is forgotten a day later, and none of its tokens is good for anything then', async () => {
  const { time, database, accessTokens, logins, first, other, id } = await setUp()
  const second = await logins.refresh(first.refreshToken)
  await expect(logins.refresh(first.refreshToken)).rejects.toMatchObject({ code: 'refresh_token_reused' })

  time.now += day - 1
  await logins.tidy()
  expect(logins.isRevoked(id)).toBe(true)
  await expect(logins.refresh(second.refreshToken)).rejects.toMatchObject(invalid)

  time.now += 1
  await logins.tidy()
  expect(logins.isRevoked(id)).toBe(false)
  expect(await database.logins.findByFamily(hashesOf(first.refreshToken).familyHash)).toBeUndefined()
  for (const { accessToken, refreshToken } of [first, second]) {
    await expect(logins.refresh(refreshToken)).rejects.toMatchObject(invalid)
    await expect(async () => accessTokens.verify(accessToken)).rejects.toMatchObject({ code: 'unauthorized' })
  }
  // The user's other login goes on.
  expect(await logins.refresh(other.refreshToken)).toHaveProperty('accessToken')
})

test('what was revoked before a restart is known for a day after it at most', async () => {
  const { time, logins, open, user, id } = await setUp()
  await logins.revoke(user.id, [id])
  time.now += day / 2
  const restarted = await open()
  await restarted.tidy()
  expect(restarted.isRevoked(id)).toBe(true)
  time.now += day
  await restarted.tidy()
  expect(restarted.isRevoked(id)).toBe(false)
})

test('a login whose end a full disk did not take stays ended for as long as the server runs', async () => {
  const { time, database, logins, user, first, id } = await setUp()
  const { revoke } = database.logins
  database.logins.revoke = () => Promise.reject(new AppError('internal', 'The disk is full.'))
  await expect(logins.revoke(user.id, [id])).rejects.toMatchObject({ code: 'internal' })
  database.logins.revoke = revoke
  time.now += 2 * day
  await logins.tidy()
  expect(logins.isRevoked(id)).toBe(true)
  await expect(logins.refresh(first.refreshToken)).rejects.toMatchObject(invalid)
})
