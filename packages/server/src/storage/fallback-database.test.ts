import type { Message } from '@aicm/protocol'
import {
  appendOf,
  approvalMessage,
  completeMessage,
  databaseConformance,
  promptMessage,
  sessionRecord,
  textMessage,
} from '@aicm/testing/conformance'
import { tempDir } from '@aicm/testing/temp-dir'
import fc from 'fast-check'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AppError } from '../lib/app-error.ts'
import type { Log } from '../lib/log.ts'
import type { AppendLog } from './append-log.ts'
import { cacheDatabase } from './cached-database.ts'
import type { Database } from './database.ts'
import { openMemoryDatabase } from './drivers/memory/database.ts'
import { openAppendLog } from './drivers/sqlite/append-log.ts'
import { openSqliteDatabase } from './drivers/sqlite/database.ts'
import { openFallbackDatabase } from './fallback-database.ts'
import { openReopenable } from './reopenable-database.ts'
import type { SessionRecord } from './session-store.ts'

const quiet = (): void => {}
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log }

/** A long time: these tests merge by opening again, or by their own probe. */
const never = 1_000_000

const memoryLog = (): AppendLog & { left(): number } => {
  let rows: { id: string; data: string }[] = []
  return {
    add: async (append, onWritten) => {
      rows.push({ id: append.record.id, data: JSON.stringify(append) })
      onWritten?.()
    },
    sessionIds: () => [...new Set(rows.map(({ id }) => id))],
    of: (sessionId) => rows.filter(({ id }) => id === sessionId).map(({ data }) => JSON.parse(data)),
    remove: async (sessionId) => void (rows = rows.filter(({ id }) => id !== sessionId)),
    setAside: async (sessionId) => void (rows = rows.filter(({ id }) => id !== sessionId)),
    left: () => rows.length,
    [Symbol.asyncDispose]: async () => {},
  }
}

/** `ok`: as it is. `fails`: refuses appends. `unsynced`: takes them, and does not vouch for them. */
type Mode = 'ok' | 'fails' | 'unsynced'

const failure = () => new AppError('storage_unavailable', 'The disk of the database failed.')

const unreliable = (database: Database, mode: () => Mode): Database => ({
  ...database,
  events: {
    ...database.events,
    append: async (append, onWritten) => {
      if (mode() === 'fails') throw failure()
      await database.events.append(append, onWritten)
      if (mode() === 'unsynced') throw failure()
    },
  },
})

const open = async (mode: Mode, fallback: AppendLog = memoryLog()) =>
  (
    await openFallbackDatabase({
      primary: unreliable(openMemoryDatabase(), () => mode),
      fallback,
      probeMs: never,
      log,
    })
  ).database

databaseConformance('with a fallback', () => open('ok'))
databaseConformance('with a fallback that has all appends', () => open('fails'))
databaseConformance('with a fallback that has all appends, behind the cache', async () =>
  cacheDatabase(await open('fails'), { max: 2 }),
)

const readAll = ({ events }: Database, sessionId: string): Promise<Message[]> =>
  events.read({ sessionId, after: 0, limit: 10_000 })

test('what was appended while the database failed is read, and is in the database once it works again', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'fallback', 'appends.db')
  const memory = openMemoryDatabase()
  let mode: Mode = 'ok'
  const start = () =>
    openFallbackDatabase({
      primary: unreliable(memory, () => mode),
      fallback: openAppendLog({ path }),
      probeMs: never,
      log,
    })
  const record = sessionRecord()
  const appends = [
    appendOf(record, [promptMessage(1, 'turn')]),
    appendOf({ ...record, lastSeq: 1 }, [approvalMessage(2, 'apr_1', 'pending'), textMessage(3)]),
    appendOf({ ...record, lastSeq: 3, name: 'Renamed' }, [], { updatedAt: record.updatedAt + 1 }),
    appendOf({ ...record, lastSeq: 3, name: 'Renamed' }, [completeMessage(4, 'turn')], {
      updatedAt: record.updatedAt + 2,
    }),
  ]
  const all = appends.flatMap(({ events }) => events)
  {
    const { database, diverted } = await start()
    await database.sessions.create(record)
    for (const [at, append] of appends.entries()) {
      if (at === 1) mode = 'fails'
      await database.events.append(append)
    }
    expect(diverted()).toBe(1)
    expect(await readAll(memory, record.id)).toHaveLength(1)
    expect(await readAll(database, record.id)).toEqual(all)
    expect(await database.events.read({ sessionId: record.id, after: 0, limit: 2 })).toEqual(all.slice(0, 2))
    expect(await database.sessions.get(record.id)).toEqual(appends.at(-1)?.record)
    expect(await database.sessions.list({ userId: record.userId, text: 'renamed', limit: 5 })).toHaveLength(1)
    expect(await database.approvals.listPending({ userId: record.userId })).toHaveLength(1)
    expect(await database.events.findComplete(record.id, 'turn')).toEqual(all.at(-1))
    await database[Symbol.asyncDispose]()
  }
  {
    // A new server, and the database still fails.
    const { database, diverted } = await start()
    expect(diverted()).toBe(1)
    expect(await readAll(database, record.id)).toEqual(all)
    await database[Symbol.asyncDispose]()
  }
  mode = 'ok'
  const { database, diverted } = await start()
  expect(diverted()).toBe(0)
  expect(await readAll(memory, record.id)).toEqual(all)
  expect(await memory.sessions.get(record.id)).toEqual(appends.at(-1)?.record)
  expect(await memory.approvals.listPending({ userId: record.userId })).toHaveLength(1)
  await database[Symbol.asyncDispose]()
})

test('who is told that an append is written finds it', async () => {
  const database = await open('fails')
  const record = sessionRecord()
  await database.sessions.create(record)
  const found: Promise<unknown>[] = []
  await database.events.append(appendOf(record, [promptMessage(1, 'turn')]), () => {
    found.push(database.events.findPrompt(record.id, 'turn'))
  })
  expect(await found[0]).toEqual(promptMessage(1, 'turn'))
})

test('it is merged by itself when the database takes writes again', async () => {
  const memory = openMemoryDatabase()
  let mode: Mode = 'fails'
  const { database, diverted } = await openFallbackDatabase({
    primary: unreliable(memory, () => mode),
    fallback: memoryLog(),
    probeMs: 5,
    log,
  })
  const record = sessionRecord()
  await database.sessions.create(record)
  await database.events.append(appendOf(record, [textMessage(1)]))
  expect(diverted()).toBe(1)
  mode = 'ok'
  await expect.poll(diverted).toBe(0)
  await database.events.append(appendOf({ ...record, lastSeq: 1 }, [textMessage(2)]))
  expect(await readAll(memory, record.id)).toEqual([textMessage(1), textMessage(2)])
  await database[Symbol.asyncDispose]()
})

test('an append that the disk may have lost is told as written once, and stored once', async () => {
  const memory = openMemoryDatabase()
  let mode: Mode = 'unsynced'
  const { database } = await openFallbackDatabase({
    primary: unreliable(memory, () => mode),
    fallback: memoryLog(),
    probeMs: 5,
    log,
  })
  const record = sessionRecord()
  await database.sessions.create(record)
  let told = 0
  const read: Promise<Message[]>[] = []
  await database.events.append(appendOf(record, [textMessage(1)]), () => {
    told++
    read.push(readAll(database, record.id))
  })
  expect(await read[0]).toEqual([textMessage(1)])
  mode = 'ok'
  await database.events.append(appendOf({ ...record, lastSeq: 1 }, [textMessage(2)]))
  expect(told).toBe(1)
  expect(await readAll(database, record.id)).toEqual([textMessage(1), textMessage(2)])
  await database[Symbol.asyncDispose]()
})

test('when both fail nothing is acknowledged; what may or may not be stored stops all appends until a new start', async () => {
  let mode: Mode = 'fails'
  let broken = true
  const fallback = memoryLog()
  const { database } = await openFallbackDatabase({
    primary: unreliable(openMemoryDatabase(), () => mode),
    fallback: {
      ...fallback,
      add: (append, onWritten) => (broken ? Promise.reject(failure()) : fallback.add(append, onWritten)),
    },
    probeMs: 5,
    log,
  })
  const [record, other] = [sessionRecord(), sessionRecord()]
  for (const each of [record, other]) await database.sessions.create(each)
  const append = appendOf(record, [textMessage(1)])
  await expect(database.events.append(append)).rejects.toMatchObject({ code: 'storage_unavailable' })
  expect(await readAll(database, record.id)).toEqual([])
  broken = false
  await database.events.append(append)

  broken = true
  mode = 'unsynced'
  await expect(database.events.append(appendOf(other, [textMessage(1)]))).rejects.toMatchObject(failure())
  mode = 'ok'
  broken = false
  await expect(database.events.append(appendOf(other, [textMessage(1)]))).rejects.toMatchObject(failure())
  await database[Symbol.asyncDispose]()
})

test('appends that no longer fit are set aside, and the session goes on as the database has it', async () => {
  const memory = openMemoryDatabase()
  const fallback = memoryLog()
  const record = sessionRecord()
  await memory.sessions.create(record)
  await fallback.add(appendOf(record, [textMessage(1, 'here')]))
  // Meanwhile a server without the fallback has used the database.
  await memory.events.append(appendOf(record, [textMessage(1, 'there')]))
  const { database, diverted } = await openFallbackDatabase({ primary: memory, fallback, probeMs: never, log })
  expect(diverted()).toBe(0)
  expect(fallback.left()).toBe(0)
  expect(await readAll(database, record.id)).toEqual([textMessage(1, 'there')])
})

test('a SQLite database that was opened again has what it was not trusted with', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  const primary = await openReopenable(() => openSqliteDatabase({ path }))
  let mode: Mode = 'unsynced'
  const { database, diverted } = await openFallbackDatabase({
    primary: unreliable(primary.database, () => mode),
    reopen: async () => {
      mode = 'ok'
      await primary.reopen()
    },
    fallback: openAppendLog({ path: join(dir.path, 'fallback.db') }),
    probeMs: 5,
    log,
  })
  const record = sessionRecord()
  await database.sessions.create(record)
  await database.events.append(appendOf(record, [textMessage(1)]))
  await expect.poll(diverted).toBe(0)
  await database.events.append(appendOf({ ...record, lastSeq: 1 }, [textMessage(2)]))
  await database[Symbol.asyncDispose]()
  await using again = await openSqliteDatabase({ path })
  expect(await readAll(again, record.id)).toEqual([textMessage(1), textMessage(2)])
})

test('however the database fails and whenever the server ends, every acknowledged append is there once, in order', async () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('append' as const), session: fc.nat(2), events: fc.nat(3) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('mode' as const),
        mode: fc.constantFrom<Mode>('ok', 'fails', 'unsynced'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), mergeAppends: fc.nat(3) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const memory = openMemoryDatabase()
      const fallback = memoryLog()
      let mode: Mode = 'ok'
      /** So many appends the database takes before it fails. */
      let taken = Infinity
      const primary = unreliable(memory, () => (taken-- > 0 ? mode : 'fails'))
      const start = () => openFallbackDatabase({ primary, fallback, probeMs: never, log })
      let { database } = await start()
      const records: SessionRecord[] = [sessionRecord(), sessionRecord(), sessionRecord()]
      const acknowledged = new Map<string, Message[]>(records.map(({ id }) => [id, []]))
      for (const record of records) await database.sessions.create(record)
      let clock = 0
      for (const each of actions) {
        if (each.kind === 'mode') mode = each.mode
        else if (each.kind === 'restart') {
          // The merge of this start ends anywhere; the next one goes on.
          taken = each.mergeAppends
          database = (await start()).database
          taken = Infinity
        } else {
          const record = records[each.session]!
          const from = record.lastSeq + 1
          const events = Array.from({ length: each.events }, (_, at) => textMessage(from + at, `at ${clock++}`))
          const append = appendOf(record, events, { name: `at ${clock}`, updatedAt: record.updatedAt + 1 })
          await database.events.append(append)
          records[each.session] = append.record
          acknowledged.get(record.id)?.push(...events)
        }
        for (const { id } of records) expect(await readAll(database, id)).toEqual(acknowledged.get(id))
      }
      mode = 'ok'
      await start()
      expect(fallback.left()).toBe(0)
      for (const record of records) {
        expect(await readAll(memory, record.id)).toEqual(acknowledged.get(record.id))
        expect(await memory.sessions.get(record.id)).toEqual(record)
      }
    }),
    { numRuns: 200 },
  )
})
