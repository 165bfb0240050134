import BetterSqlite from 'better-sqlite3'
import { appendOf, sessionRecord, textMessage } from '@aicm/testing/conformance'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrationNames, migrations, newestMigration } from '../../migrations/index.ts'
import { openSqliteDatabase } from './database.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aicm-sqlite-'))
  path = join(folder, 'aicm.db')
})
afterEach(() => rm(folder, { recursive: true }))

/** Changes the file as another program would. */
const alter = (sql: string): void => {
  const file = new BetterSqlite(path)
  file.exec(sql)
  file.close()
}

const create = async (): Promise<void> => {
  await using _ = await openSqliteDatabase({ path })
}

test('a database opened again has all that was in it', async () => {
  const record = sessionRecord()
  const append = appendOf(record, [textMessage(1), textMessage(2)])
  {
    await using database = await openSqliteDatabase({ path })
    await database.sessions.create(record)
    await database.events.append(append)
  }
  await using database = await openSqliteDatabase({ path })
  expect(await database.sessions.get(record.id)).toEqual(append.record)
  expect(await database.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual(append.events)
})

test('it says what it is', async () => {
  await using database = await openSqliteDatabase({ path })
  expect(database.describe()).toEqual({ kind: 'sqlite', schemaVersion: newestMigration })
})

test('the folder is made, and only its user may read the file', async () => {
  path = join(folder, 'data', 'deep', 'aicm.db')
  await create()
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'data'))).mode & 0o777).toBe(0o700)
})

test('every migration that is listed can be loaded, in the order of its number', async () => {
  expect(Object.keys(migrations)).toEqual(migrationNames)
  for (const load of Object.values(migrations)) expect((await load()).up).toBeTypeOf('function')
})

test('the tables for accounts are laid', async () => {
  await create()
  const file = new BetterSqlite(path)
  const tables = file.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()
  file.close()
  expect(tables).toEqual(expect.arrayContaining(['logins', 'shares', 'api_keys', 'audit_log']))
})

test('a database of a newer version is refused and stays as it is', async () => {
  await create()
  alter("INSERT INTO kysely_migration VALUES ('9999-from-the-future', '2030-01-01T00:00:00.000Z')")
  const before = await readFile(path)
  await expect(openSqliteDatabase({ path })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining('newer version of aicm (migration 9999-from-the-future)'),
    hint: expect.stringContaining('Nothing was changed'),
  })
  expect((await readFile(path)).equals(before)).toBe(true)
})

test('a database of another program is refused and stays as it is', async () => {
  alter('CREATE TABLE recipes (id INTEGER)')
  const before = await readFile(path)
  await expect(openSqliteDatabase({ path })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining('another program'),
  })
  expect((await readFile(path)).equals(before)).toBe(true)
})

test('a file that is not a database is refused and stays as it is', async () => {
  const text = 'This is a letter, not a database. '.repeat(100)
  await writeFile(path, text)
  await expect(openSqliteDatabase({ path })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining(`${path}: The database file is not a SQLite database`),
  })
  expect(await readFile(path, 'utf8')).toBe(text)
})

test('a path that cannot be opened is named in the error', async () => {
  await mkdir(path)
  await expect(openSqliteDatabase({ path })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining(path),
  })
  await rm(path, { recursive: true })
  await writeFile(join(folder, 'file'), '')
  const below = join(folder, 'file', 'aicm.db')
  await expect(openSqliteDatabase({ path: below })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining(below),
  })
})

test('a migration that fails leaves the database as it was', async () => {
  await create()
  // The first migration will find its tables there already.
  alter('DELETE FROM kysely_migration')
  await expect(openSqliteDatabase({ path })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining(path),
  })
  const file = new BetterSqlite(path)
  expect(file.prepare('SELECT * FROM kysely_migration').all()).toEqual([])
  file.close()
})

test('an up-to-date database is opened without writing to it', async () => {
  await create()
  await chmod(path, 0o600)
  const before = await readFile(path)
  await create()
  expect((await readFile(path)).equals(before)).toBe(true)
})

test('after closing, everything is refused', async () => {
  const record = sessionRecord()
  const database = await openSqliteDatabase({ path })
  await database.sessions.create(record)
  const last = database.events.append(appendOf(record, [textMessage(1)]))
  await database[Symbol.asyncDispose]()
  await last
  const refused = { code: 'storage_unavailable', message: 'The database is closed.' }
  await expect(database.events.append(appendOf({ ...record, lastSeq: 1 }, [textMessage(2)]))).rejects.toMatchObject(
    refused,
  )
  await expect(database.events.read({ sessionId: record.id, after: 0, limit: 1 })).rejects.toMatchObject(refused)
  await expect(database.sessions.get(record.id)).rejects.toMatchObject(refused)
  await expect(database.sessions.list({ userId: record.userId, limit: 1 })).rejects.toMatchObject(refused)
  await expect(database.users.count()).rejects.toMatchObject(refused)
  await expect(database.workspaces.list(record.userId)).rejects.toMatchObject(refused)
  await database[Symbol.asyncDispose]()
  await using again = await openSqliteDatabase({ path })
  expect(await again.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual([textMessage(1)])
})
