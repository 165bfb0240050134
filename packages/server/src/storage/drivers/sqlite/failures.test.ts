import { appendOf, sessionRecord, textMessage, workspaceRecord } from '@aicm/testing/conformance'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import type { Message } from '@aicm/protocol'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Database } from '../../database.ts'
import type { SessionRecord } from '../../session-store.ts'
import { createConnection } from './connection.ts'
import { openSqliteDatabase } from './database.ts'
import { createEvents } from './events.ts'
import { migrate } from './migrate.ts'
import { configure, openFile } from './open-file.ts'
import { createSessions } from './sessions.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aicm-sqlite-'))
  path = join(folder, 'aicm.db')
})
afterEach(() => rm(folder, { recursive: true }))

const big = (seq: number): Message => textMessage(seq, 'x'.repeat(200_000))

/** Appends big events one at a time until one is refused; gives the session as it then is, and the refusal. */
const appendUntilRefused = async (
  { events }: Pick<Database, 'events'>,
  record: SessionRecord,
): Promise<{ record: SessionRecord; error: unknown }> => {
  for (let current = record; ;) {
    const append = appendOf(current, [big(current.lastSeq + 1)])
    try {
      await events.append(append)
    } catch (error) {
      return { record: current, error }
    }
    current = append.record
  }
}

/** Runs a program of this folder in its own process until it has printed a line. `kill` ends it as a crash would. */
const startProgram = async (program: string, ...args: string[]): Promise<{ kill(): Promise<void> }> => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, ...args], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), exited])
  return {
    kill: async () => {
      child.kill('SIGKILL')
      expect(await exited).toEqual([null, 'SIGKILL'])
    },
  }
}

test('what append has resolved for is there after the server was killed', async () => {
  const record = sessionRecord()
  const program = `
    import { openSqliteDatabase } from './database.ts'
    const [path, record, events] = process.argv.slice(1)
    const database = await openSqliteDatabase({ path })
    const session = JSON.parse(record)
    await database.sessions.create(session)
    await database.events.append({ record: { ...session, lastSeq: 2 }, expectedSeq: 0, events: JSON.parse(events) })
    console.log('appended')
    setInterval(() => {}, 1000)
  `
  const events = [textMessage(1), textMessage(2)]
  const server = await startProgram(program, path, JSON.stringify(record), JSON.stringify(events))
  await server.kill()

  await using database = await openSqliteDatabase({ path })
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual(events)
  expect(await database.sessions.get(record.id)).toEqual({ ...record, lastSeq: 2 })
})

test('what append has resolved for is in the files at that moment', async () => {
  await using database = await openSqliteDatabase({ path })
  const record = sessionRecord()
  await database.sessions.create(record)
  await database.events.append(appendOf(record, [textMessage(1)]))
  const copied = join(folder, 'copied.db')
  for (const suffix of ['', '-wal']) await cp(path + suffix, copied + suffix)
  await using copy = await openSqliteDatabase({ path: copied })
  expect(await copy.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual([textMessage(1)])
})

test('a full disk refuses what does not fit, keeps what is there readable, and is written again when there is room', async () => {
  const file = openFile(path)
  configure(file)
  await migrate(file)
  const connection = createConnection(file)
  const [events, sessions] = [createEvents(connection), createSessions(connection)]
  const [record, neighbour] = [sessionRecord(), sessionRecord()]
  for (const each of [record, neighbour]) await sessions.create(each)
  file.pragma(`max_page_count = ${Number(file.pragma('page_count', { simple: true })) + 200}`)

  const full = await appendUntilRefused({ events }, record)
  expect(full.error).toMatchObject({ code: 'storage_full' })
  expect(await sessions.get(record.id)).toEqual(full.record)
  expect(await events.read({ sessionId: record.id, after: 0, limit: 100 })).toHaveLength(full.record.lastSeq)

  // A small neighbour in the same transaction still fits.
  const results = await Promise.allSettled([
    events.append(appendOf(full.record, [big(full.record.lastSeq + 1)])),
    events.append(appendOf(neighbour, [textMessage(1)])),
  ])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])

  file.pragma('max_page_count = 1000000')
  await events.append(appendOf(full.record, [big(full.record.lastSeq + 1)]))
  expect(await events.read({ sessionId: record.id, after: 0, limit: 100 })).toHaveLength(full.record.lastSeq + 1)
  await connection.close()
})

// Whoever may not make a network namespace may not mount a disk either.
requires('root', 'net-namespace')('the same on a real full disk', async () => {
  await using disk = await mountSmallDisk(2048)
  const ballast = join(disk.path, 'ballast')
  await writeFile(ballast, Buffer.alloc(500_000))
  await using database = await openSqliteDatabase({ path: join(disk.path, 'aicm.db') })
  const record = sessionRecord()
  await database.sessions.create(record)

  const full = await appendUntilRefused(database, record)
  expect(full.error).toMatchObject({ code: 'storage_full' })
  expect(await database.sessions.get(record.id)).toEqual(full.record)
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 100 })).toHaveLength(full.record.lastSeq)
  await expect(database.workspaces.create(workspaceRecord({ path: 'x'.repeat(500_000) }))).rejects.toMatchObject({
    code: 'storage_full',
  })

  await rm(ballast)
  await database.events.append(appendOf(full.record, [big(full.record.lastSeq + 1)]))
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 100 })).toHaveLength(
    full.record.lastSeq + 1,
  )
})

test('a lock of another program is waited for, but not for ever', async () => {
  await using database = await openSqliteDatabase({ path })
  const record = sessionRecord()
  await database.sessions.create(record)
  const other = await startProgram(
    `
    import BetterSqlite from 'better-sqlite3'
    new BetterSqlite(process.argv[1]).exec('BEGIN IMMEDIATE')
    console.log('locked')
    setInterval(() => {}, 1000)
  `,
    path,
  )

  await expect(database.events.append(appendOf(record, [textMessage(1)]))).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: 'Another program holds the database.',
    cause: { code: 'SQLITE_BUSY' },
  })
  await expect(database.workspaces.create(workspaceRecord())).rejects.toMatchObject({ code: 'storage_unavailable' })
  expect(await database.sessions.get(record.id)).toEqual(record)

  await other.kill()
  await database.events.append(appendOf(record, [textMessage(1)]))
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual([textMessage(1)])
})

test('more appends at once than one transaction takes are all stored', async () => {
  await using database = await openSqliteDatabase({ path })
  const record = sessionRecord()
  await database.sessions.create(record)
  await Promise.all(
    Array.from({ length: 1200 }, (_, index) =>
      database.events.append(appendOf({ ...record, lastSeq: index }, [textMessage(index + 1)])),
    ),
  )
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 2000 })).toHaveLength(1200)
})
