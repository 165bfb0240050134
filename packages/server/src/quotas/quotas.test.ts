import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sessionRecord, textMessage, appendOf } from '../../../testing/src/conformance/records.ts'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect, test } from 'vitest'
import { defaultQuotas, parseQuotas } from '../config/quotas.ts'
import { AppError } from '../lib/app-error.ts'
import { sizeOfFolders } from '../process/size-of-folders.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createUserQuotas } from './quotas.ts'
import { createStoredBytes } from './stored-bytes.ts'
import { lookAtBytes } from './watch-bytes.ts'

const log = { warn: () => undefined } as never

const setUp = async (setting: string, usage = { processes: 0, queued: 0 }, bytes?: number) => {
  const database = openMemoryDatabase()
  const open = () =>
    createUserQuotas(database, {
      defaults: parseQuotas(['off', setting]) ?? defaultQuotas,
      usageOf: () => usage,
      storedBytes: { of: () => bytes, add: () => undefined, measure: () => undefined, mayHaveGrown: async () => false },
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

test('what cannot be counted is too much', async () => {
  const { quotas } = await setUp('bytes=1k', undefined, Number.POSITIVE_INFINITY)
  await expect(quotas.prompt('a', async () => undefined)).rejects.toThrow('more than can be counted')
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

test('what is stored is log, workspaces, home and the folders of sessions', async () => {
  await using dir = await tempDir()
  const mine = join(dir.path, 'workspaces', 'a')
  const record = sessionRecord({ userId: 'a' })
  const home = join(dir.path, 'users', 'a', 'home')
  const tmp = join(dir.path, 'sessions', record.id, 'tmp')
  const others = join(dir.path, 'workspaces', 'b')
  for (const folder of [mine, home, tmp, others]) await mkdir(folder, { recursive: true })
  const write = (folder: string, bytes: number) => writeFile(join(folder, `${bytes}`), Buffer.alloc(bytes, 1))
  await write(others, 1_000_000)
  await write(mine, 100_000)

  const database = openMemoryDatabase()
  await database.sessions.create(record)
  const event = textMessage(1, 'x'.repeat(10_000))
  await database.events.append(appendOf(record, [event]))
  await write(home, 200_000)
  await write(tmp, 400_000)
  let time = 0
  const stopping = new AbortController()
  const stored = createStoredBytes(database, {
    ...{ dataDir: dir.path, sizeOfFolders, now: () => time, signal: stopping.signal, log },
  })
  expect(stored.of('a')).toBeUndefined()
  expect(await stored.mayHaveGrown('a', 2 ** 40)).toBe(true)
  const bytes = await until('it was measured', () => stored.of('a'))
  expect(bytes).toBeGreaterThanOrEqual(700_000 + Buffer.byteLength(JSON.stringify(event)))
  expect(bytes).toBeLessThan(1_000_000)
  // What comes by a way that tells of it is counted at once.
  stored.add('a', 1000)
  expect(stored.of('a')).toBe(bytes + 1000)
  stored.add('a', -1000)
  // It is measured again when it is old or asked for, and the old figure is good until then.
  await write(home, 50_000)
  expect(stored.of('a')).toBe(bytes)
  time = 3_600_000
  const later = await until('it was measured again', () => {
    const now = stored.of('a') ?? 0
    return now >= bytes + 50_000 && now
  })
  expect(await stored.mayHaveGrown('a', 2 ** 40)).toBe(false)
  await write(tmp, 3_000_000)
  expect(await stored.mayHaveGrown('a', 1_000_000)).toBe(true)
  stored.measure('a')
  await until('it was measured once more', () => (stored.of('a') ?? 0) >= later + 3_000_000)
  // A server that ends measures no more.
  stopping.abort()
  stored.measure('gone')
  expect(stored.of('gone')).toBeUndefined()
})

test('only whom the disks have filled enough for is measured again, and who has too much is ended', async () => {
  const looked: string[] = []
  const left: Record<string, number> = { none: Infinity, little: 10, much: 1000, over: 0 }
  const look = () =>
    lookAtBytes({
      registry: {
        liveUsers: () => Object.keys(left),
        halt: async (userId, { message }) => void looked.push(`end ${userId}: ${message}`),
      },
      quotas: {
        bytesLeft: async (userId) => left[userId] ?? 0,
        assertBytes: async () => Promise.reject(new AppError('quota_exceeded', 'too much')),
      },
      storedBytes: {
        mayHaveGrown: async (_, bytes) => bytes <= 100,
        measure: (userId) => void looked.push(`measure ${userId}`),
      },
    })
  await look()
  expect(looked).toEqual(['measure little', 'end over: too much'])
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
