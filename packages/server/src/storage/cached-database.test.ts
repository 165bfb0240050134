import { appendOf, sessionRecord, textMessage, userRecord } from '@aicm/testing/conformance'
import { expect, test } from 'vitest'
import { cacheDatabase } from './cached-database.ts'
import type { Database } from './database.ts'
import { openMemoryDatabase } from './drivers/memory/database.ts'
import type { SessionRecord } from './session-store.ts'

/** A database that counts what reaches it. */
const countReads = (database: Database) => {
  const reads = { sessions: 0, users: 0 }
  const counted: Database = {
    ...database,
    sessions: { ...database.sessions, get: (id) => (reads.sessions++, database.sessions.get(id)) },
    users: { ...database.users, get: (id) => (reads.users++, database.users.get(id)) },
  }
  return { reads, counted }
}

test('a session that was created, appended to or read is not read again', async () => {
  const { reads, counted } = countReads(openMemoryDatabase())
  await using database = cacheDatabase(counted, { max: 10 })
  const record = sessionRecord()
  await database.sessions.create(record)
  const append = appendOf(record, [textMessage(1)])
  await database.events.append(append)
  expect(await database.sessions.get(record.id)).toEqual(append.record)
  expect(reads.sessions).toBe(0)
})

test('a user is read once', async () => {
  const { reads, counted } = countReads(openMemoryDatabase())
  await using database = cacheDatabase(counted, { max: 10 })
  const user = userRecord()
  await counted.users.create(user)
  expect(await database.users.get(user.id)).toEqual(user)
  expect(await database.users.get(user.id)).toEqual(user)
  expect(reads.users).toBe(1)
})

test('after a failed append the database is asked again', async () => {
  const { reads, counted } = countReads(openMemoryDatabase())
  await using database = cacheDatabase(counted, { max: 10 })
  const record = sessionRecord()
  await database.sessions.create(record)
  await expect(database.events.append(appendOf({ ...record, lastSeq: 5 }, [textMessage(6)]))).rejects.toThrow()
  expect(await database.sessions.get(record.id)).toEqual(record)
  expect(reads.sessions).toBe(1)
})

test('no more than `max` are kept', async () => {
  const { reads, counted } = countReads(openMemoryDatabase())
  await using database = cacheDatabase(counted, { max: 2 })
  const records = [sessionRecord(), sessionRecord(), sessionRecord()]
  for (const record of records) await database.sessions.create(record)
  for (const record of records.toReversed()) await database.sessions.get(record.id)
  expect(reads.sessions).toBe(1)
})

test.each([
  [
    'an append',
    async (database: Database, record: SessionRecord) => database.events.append(appendOf(record, [textMessage(1)])),
    1,
  ],
  ['a deletion', async (database: Database, record: SessionRecord) => database.sessions.delete(record.id), undefined],
])('a session that was read during %s is not kept as it was before', async (_, write, lastSeq) => {
  const memory = openMemoryDatabase()
  const held = Promise.withResolvers<void>()
  await using database = cacheDatabase(
    {
      ...memory,
      sessions: {
        ...memory.sessions,
        get: async (id) => {
          const record = await memory.sessions.get(id)
          await held.promise
          return record
        },
      },
    },
    { max: 10 },
  )
  const record = sessionRecord()
  await memory.sessions.create(record)
  const early = database.sessions.get(record.id)
  await write(database, record)
  held.resolve()
  expect(await early).toEqual(record)
  expect((await database.sessions.get(record.id))?.lastSeq).toBe(lastSeq)
})
