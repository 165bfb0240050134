import {
  appendOf,
  approvalMessage,
  auditEntry,
  promptMessage,
  sessionRecord,
  textMessage,
  userRecord,
  workspaceRecord,
} from '@aicm/testing/conformance'
import { emptyAudit } from '@aicm/protocol'
import { tempDir } from '@aicm/testing/temp-dir'
import BetterSqlite from 'better-sqlite3'
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Log } from '../../../lib/log.ts'
import type { Database } from '../../database.ts'
import type { Rescued } from '../../rescued.ts'
import { openSqliteDatabase } from './database.ts'
import { openOrRebuild } from './open-or-rebuild.ts'

const quiet = (): void => {}
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log }
const now = Date.parse('2026-03-01T12:00:00.000Z')

/** Opens it, and tells what was left to be found elsewhere. */
const open = async (path: string, expected = true) => {
  const asked: { incomplete: Rescued[]; sessionsLost: boolean }[] = []
  const refill = async (_: Database, found: { incomplete: Rescued[]; sessionsLost: boolean }) => {
    asked.push(found)
    return 'refilled'
  }
  const opened = await openOrRebuild({ path, expected, refill, now, log })
  return { ...opened, asked: asked[0], times: asked.length }
}

const sessions = Array.from({ length: 30 }, () => sessionRecord())
const text = (seq: number) => textMessage(seq, `${seq} `.repeat(200))
const events = 40

/** Users, workspaces, and sessions that have written in turns, so that each has rows all over the file. */
const fill = async (path: string): Promise<void> => {
  await using database = await openSqliteDatabase({ path })
  await database.users.create(userRecord({ id: 'usr_1' }))
  await database.workspaces.create(workspaceRecord({ id: 'wsp_1' }))
  let records = sessions
  for (const record of records) await database.sessions.create(record)
  for (let seq = 1; seq <= events; seq++) {
    const appends = records.map((record) => appendOf(record, [text(seq)]))
    await Promise.all(appends.map((append) => database.events.append(append)))
    records = appends.map(({ record }) => record)
  }
}

const overwrite = (path: string, at: number, bytes: Buffer): void => {
  const file = readFileSync(path)
  bytes.copy(file, at)
  writeFileSync(path, file)
}

const garbage = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 167 + 89) % 256))

/** A page of a table, neither its first nor its last. */
const pageOf = (path: string, table: string): number => {
  const file = new BetterSqlite(path, { readonly: true })
  const pages = file
    .prepare<[string], number>("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path")
    .pluck()
  try {
    const found = pages.all(table)
    return found[Math.floor(found.length / 2)]! - 1
  } finally {
    file.close()
  }
}

/** As a killed server leaves it: the log is still there. */
const leaveOpen = (path: string): void => writeFileSync(`${path}.damaged`, '')

test('a database that is whole is opened as it is, also after a crash', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  expect(existsSync(`${path}-wal`)).toBe(false)
  leaveOpen(path)
  const { database, rebuilt } = await open(path)
  expect(rebuilt).toBeUndefined()
  expect(await database.sessions.counts()).toMatchObject({ total: 30 })
  await database[Symbol.asyncDispose]()
  expect(await readdir(dir.path)).toEqual(['aicm.db'])
})

test('a new folder gets a new database', async () => {
  await using dir = await tempDir()
  const { database, rebuilt } = await open(join(dir.path, 'aicm.db'), false)
  expect(rebuilt).toBeUndefined()
  await database[Symbol.asyncDispose]()
})

test.each([
  ['garbage over a page of the events', 'events', (page: number) => [page * 4096, garbage(4096)] as const],
  ['zeros over a page of the events', 'events', (page: number) => [page * 4096, Buffer.alloc(4096)] as const],
  [
    'garbage in the middle of a page of the events',
    'events',
    (page: number) => [page * 4096 + 2000, garbage(900)] as const,
  ],
])('%s: all other rows are kept, and what is missing is known', async (_, table, damage) => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  overwrite(path, ...damage(pageOf(path, table)))
  leaveOpen(path)
  const before = readFileSync(path)

  const { database, rebuilt, asked } = await open(path)
  expect(rebuilt).toMatchObject({ refilled: 'refilled', tables: { users: { rows: 1 }, workspaces: { rows: 1 } } })
  expect(rebuilt?.tables['sessions']).toEqual({ rows: 30, broken: false })
  expect(rebuilt?.tables['events']?.broken).toBe(true)
  expect(asked?.sessionsLost).toBe(false)
  expect(readFileSync(rebuilt?.setAside ?? '').equals(before)).toBe(true)

  const incomplete = asked?.incomplete ?? []
  const missing = incomplete.map((each) => events - each.events.length)
  expect(missing.every((count) => count > 0)).toBe(true)
  expect(missing.reduce((sum, count) => sum + count, 0)).toBe(30 * events - (rebuilt?.tables['events']?.rows ?? 0))
  expect(missing.reduce((sum, count) => sum + count, 0)).toBeLessThan(40)
  for (const { id, record, events: there } of incomplete) {
    expect(record?.lastSeq).toBe(events)
    expect(there).toEqual(there.map(({ seq }) => text(seq)))
    expect(await database.sessions.get(id)).toBeUndefined()
  }
  for (const { id } of sessions.filter((session) => !incomplete.some((each) => each.id === session.id))) {
    const read = await database.events.read({ sessionId: id, after: 0, limit: 100 })
    expect(read).toEqual(Array.from({ length: events }, (__, at) => text(at + 1)))
  }
  await database[Symbol.asyncDispose]()

  const again = await open(path)
  expect(again.rebuilt).toBeUndefined()
  await again.database[Symbol.asyncDispose]()
})

test('a page of the sessions: their events are kept for whoever can say whose they are', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  overwrite(path, pageOf(path, 'sessions') * 4096, garbage(4096))
  leaveOpen(path)
  const { database, rebuilt, asked } = await open(path)
  expect(asked?.sessionsLost).toBe(true)
  const orphans = asked?.incomplete.filter(({ record }) => record === undefined) ?? []
  expect(orphans.length + (rebuilt?.tables['sessions']?.rows ?? 0)).toBe(30)
  expect(orphans.length).toBeGreaterThan(0)
  expect(orphans.map((each) => each.events.length)).toEqual(orphans.map(() => events))
  await database[Symbol.asyncDispose]()
})

test.each([
  ['cut in half', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096)],
  ['cut inside a page', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2) + 77)],
])('a file that was %s is found out without being looked through', async (_, cut) => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  cut(path)
  const { database, rebuilt, asked } = await open(path)
  expect(rebuilt?.tables['users']).toBeDefined()
  expect(asked).toBeDefined()
  expect(await database.users.count()).toBe(rebuilt?.tables['users']?.rows)
  await database[Symbol.asyncDispose]()
})

test.each([
  ['garbage', (path: string) => writeFileSync(path, garbage(100_000))],
  ['empty', (path: string) => truncateSync(path, 0)],
  ['a few bytes', (path: string) => truncateSync(path, 20)],
])('a file that is %s has nothing to give; it is set aside and all else is asked for', async (_, damage) => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  damage(path)
  const before = readFileSync(path)
  const { database, rebuilt, asked } = await open(path)
  expect(asked).toEqual({ incomplete: [], sessionsLost: true })
  expect(readFileSync(rebuilt?.setAside ?? '').equals(before)).toBe(true)
  const record = sessionRecord()
  await database.sessions.create(record)
  await database.events.append(appendOf(record, [promptMessage(1, 'turn'), approvalMessage(2, 'apr_1', 'pending')]))
  await database[Symbol.asyncDispose]()
})

test.each([
  ['header', 100],
  ['first page', 4096],
])('a destroyed %s costs nothing: a new one knows where the tables are', async (_, bytes) => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  overwrite(path, 0, garbage(bytes))
  const { database, rebuilt, asked } = await open(path)
  expect(asked?.incomplete).toEqual([])
  expect(rebuilt?.tables['events']).toEqual({ rows: 30 * events, broken: false })
  expect(rebuilt?.tables['users']?.rows).toBe(1)
  await database[Symbol.asyncDispose]()
  expect((await readdir(dir.path)).filter((name) => !name.includes('.damaged-'))).toEqual(['aicm.db'])
})

test('destroyed pages below the first cost nothing either', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  const page = pageOf(path, 'sqlite_schema')
  expect(page).toBeGreaterThan(0)
  overwrite(path, page * 4096, garbage(4096))
  leaveOpen(path)
  const { database, rebuilt, asked } = await open(path)
  expect(asked?.incomplete).toEqual([])
  expect(rebuilt?.tables['events']).toEqual({ rows: 30 * events, broken: false })
  await database[Symbol.asyncDispose]()
})

test('damage that is met while the server runs is refused with advice, and the next start rebuilds', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  overwrite(path, pageOf(path, 'events') * 4096, garbage(4096))
  // Closed as it should be: nobody looks.
  const first = await open(path)
  expect(first.rebuilt).toBeUndefined()
  const reads = await Promise.allSettled(
    sessions.map(({ id }) => first.database.events.read({ sessionId: id, after: 0, limit: 100 })),
  )
  expect(reads.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: { code: 'storage_unavailable', hint: expect.stringContaining('Restart') },
  })
  await first.database[Symbol.asyncDispose]()
  const second = await open(path)
  expect(second.rebuilt?.reason).toBeTypeOf('string')
  await second.database[Symbol.asyncDispose]()
})

test('a page of the audit log: what is left of it is kept as it was, still append-only, and goes on behind its end', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  const entries = Array.from({ length: 200 }, (_, at) => auditEntry(at + 1))
  {
    await using database = await openSqliteDatabase({ path })
    await database.audit.append({ after: emptyAudit, entries })
  }
  overwrite(path, pageOf(path, 'audit_log') * 4096, garbage(4096))
  leaveOpen(path)
  const { database, rebuilt } = await open(path)
  expect(rebuilt?.tables['audit_log']?.broken).toBe(true)
  const left = await database.audit.read({ limit: 1000 })
  expect(left.length).toBe(rebuilt?.tables['audit_log']?.rows)
  expect(left.length).toBeGreaterThan(150)
  expect(left.length).toBeLessThan(200)
  expect(left).toEqual(left.map(({ seq }) => entries[seq - 1]))
  const head = await database.audit.readHead()
  expect(head.seq).toBe(200)
  await database.audit.append({ after: head, entries: [auditEntry(201)] })
  await database[Symbol.asyncDispose]()
  const file = new BetterSqlite(path)
  expect(() => file.exec('DELETE FROM audit_log')).toThrow('append-only')
  file.close()
})

test('a rebuilding that was cut off is done again, and one that was finished is put in its place', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  await fill(path)
  await cp(path, `${path}.rebuilt`)
  writeFileSync(`${path}.rebuilding`, 'begun')
  overwrite(path, 0, garbage(5000))
  const { database, rebuilt, times } = await open(path)
  expect([rebuilt, times]).toEqual([undefined, 0])
  expect(await database.sessions.counts()).toMatchObject({ total: 30 })
  await database[Symbol.asyncDispose]()
  expect((await readdir(dir.path)).filter((name) => name.includes('.damaged-'))).toHaveLength(1)
})
