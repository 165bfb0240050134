import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sessionRecord, textMessage, appendOf, workspaceRecord } from '../../../testing/src/conformance/records.ts'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect, test } from 'vitest'
import { defaultQuotas, parseQuotas } from '../config/quotas.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createUserQuotas } from './quotas.ts'
import { createStoredBytes, sizeOfFolder } from './stored-bytes.ts'

const log = { warn: () => undefined } as never

const setUp = async (setting: string, usage = { processes: 0, queued: 0 }, bytes?: number) => {
  const database = openMemoryDatabase()
  const open = () =>
    createUserQuotas(database, {
      defaults: parseQuotas(['off', setting]) ?? defaultQuotas,
      usageOf: () => usage,
      storedBytes: { of: () => bytes, add: () => undefined },
    })
  return { database, quotas: await open(), usage, open }
}

test('sessions that are made at once do not slip past the quota together', async () => {
  const { database, quotas } = await setUp('sessions=10')
  const made = await Promise.allSettled(
    Array.from({ length: 50 }, () =>
      quotas.session('a', async () => {
        await new Promise((resolve) => setImmediate(resolve))
        await database.sessions.create(sessionRecord({ userId: 'a' }))
      }),
    ),
  )
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
  for (const one of made)
    if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'quota_exceeded', retryAfter: 60 })
  await expect(quotas.session('b', async () => 'made')).resolves.toBe('made')
})

test('a session that could not be made leaves room for another', async () => {
  const { quotas } = await setUp('sessions=1')
  await expect(quotas.session('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(quotas.session('a', async () => 'made')).resolves.toBe('made')
})

test("an administrator's word about a user counts at once, for that user", async () => {
  const { quotas, usage } = await setUp('prompts=5')
  usage.queued = 4
  await quotas.prompt('a', async () => undefined)
  await quotas.set('a', { prompts: 4, processes: 3 })
  expect(quotas.processes('a')).toBe(3)
  expect(quotas.processes('a')).toBe(3)
  await expect(quotas.prompt('a', async () => undefined)).rejects.toMatchObject({ code: 'quota_exceeded' })
  await quotas.prompt('b', async () => undefined)
  expect(quotas.processes('b')).toBe(Number.POSITIVE_INFINITY)
  await quotas.set('a', { prompts: null })
  usage.queued = 1_000_000
  await quotas.prompt('a', async () => undefined)
  await quotas.set('a', {})
  await expect(quotas.prompt('a', async () => undefined)).rejects.toMatchObject({ code: 'quota_exceeded' })
})

test('what was set of a user counts from the start of the server on, before the user asks anything', async () => {
  const { quotas, open } = await setUp('processes=5')
  await quotas.set('a', { processes: 1 })
  const next = await open()
  expect([next.processes('a'), next.processes('b')]).toEqual([1, 5])
})

test('a connection that ends makes room for another', async () => {
  const { quotas } = await setUp('connections=1')
  const leave = await quotas.connection('a')
  await expect(quotas.connection('a')).rejects.toMatchObject({ code: 'quota_exceeded' })
  leave()
  await quotas.connection('a')
  expect((await quotas.view('a')).connections).toEqual({ limit: 1, used: 1 })
})

test('connections that come at once do not slip past the quota together', async () => {
  const { quotas } = await setUp('connections=10')
  const opened = await Promise.allSettled(Array.from({ length: 50 }, () => quotas.connection('a')))
  expect(opened.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
})

test('whoever has stored too much stores no more', async () => {
  const { quotas } = await setUp('bytes=1k', undefined, 1024)
  await expect(quotas.prompt('a', async () => undefined)).rejects.toMatchObject({ code: 'quota_exceeded' })
  await expect(quotas.session('a', async () => 'made')).rejects.toMatchObject({ code: 'quota_exceeded' })
  expect((await quotas.view('a')).bytes).toEqual({ limit: 1024, used: 1024 })
})

test('what would be too much is not stored', async () => {
  const { quotas } = await setUp('bytes=1k', undefined, 1000)
  await quotas.store('a', 24)
  await expect(quotas.store('a', 25)).rejects.toMatchObject({ code: 'quota_exceeded' })
  await quotas.store('a', -2000)
})

test('what is stored is log and workspaces, without what links point to and what was there before', async () => {
  await using dir = await tempDir()
  const [mine, there] = [join(dir.path, 'mine'), join(dir.path, 'there')]
  for (const folder of [join(mine, 'deep', 'deeper'), there]) await mkdir(folder, { recursive: true })
  await writeFile(join(there, 'big'), Buffer.alloc(1_000_000, 1))
  await symlink(there, join(mine, 'link'))
  await symlink(mine, join(mine, 'circle'))
  const empty = await sizeOfFolder(mine)
  await writeFile(join(mine, 'deep', 'deeper', 'file'), Buffer.alloc(100_000, 1))
  expect((await sizeOfFolder(mine)) - empty).toBeGreaterThanOrEqual(100_000)
  expect(await sizeOfFolder(mine)).toBeLessThan(500_000)
  expect(await sizeOfFolder(join(dir.path, 'nowhere'))).toBe(0)

  const database = openMemoryDatabase()
  const record = sessionRecord({ userId: 'a' })
  await database.sessions.create(record)
  const event = textMessage(1, 'x'.repeat(10_000))
  await database.events.append(appendOf(record, [event]))
  await database.workspaces.create(workspaceRecord({ userId: 'a', name: 'mine', path: mine }))
  await database.workspaces.create(workspaceRecord({ userId: 'a', name: 'there', path: there, source: 'folder' }))
  let time = 0
  const stored = createStoredBytes(database, { now: () => time, log })
  expect(stored.of('a')).toBeUndefined()
  const bytes = await until('it was measured', () => stored.of('a'))
  expect(bytes).toBe((await sizeOfFolder(mine)) + Buffer.byteLength(JSON.stringify(event)))
  // What comes by a way that tells of it is counted at once.
  stored.add('a', 1000)
  expect(stored.of('a')).toBe(bytes + 1000)
  stored.add('a', -1000)
  // It is measured again when it is old, and the old figure is good until then.
  await writeFile(join(mine, 'more'), Buffer.alloc(50_000, 1))
  expect(stored.of('a')).toBe(bytes)
  time = 3_600_000
  await until('it was measured again', () => (stored.of('a') ?? 0) >= bytes + 50_000)
})

test('settings are taken in their order, and what is none of them is refused', () => {
  expect(parseQuotas([])).toEqual(defaultQuotas)
  expect(parseQuotas(['off', 'bytes=2g', 'sessions=3'])).toEqual({
    ...{ sessions: 3, processes: null, prompts: null, connections: null, bytes: 2 * 2 ** 30 },
  })
  expect(parseQuotas(['prompts=off'])?.prompts).toBeNull()
  expect(parseQuotas(['bytes=1t'])?.bytes).toBe(2 ** 40)
  for (const wrong of ['sessions', 'sessions=', 'sessions=5k', 'session=5', 'bytes=-1', 'bytes=1x', 'on'])
    expect(parseQuotas([wrong])).toBeUndefined()
})
