import type { Message } from '@aicm/protocol'
import BetterSqlite from 'better-sqlite3'
import { closeSync, copyFileSync, existsSync, openSync, statSync, writeSync } from 'node:fs'
import type { Rescued } from '../../rescued.ts'
import { fromSessionRow, type SessionRow } from '../sql/session-row.ts'
import type { SqliteFile } from './open-file.ts'

/** What was read of one table; `broken` where reading it failed somewhere, so that rows may be missing. */
export type SalvagedTable = { rows: number; broken: boolean }

/** Rows that cannot be counted any more are looked for one by one, so many at most in vain. */
const blindRows = 100_000

const json: Record<string, string> = {
  sessions: 'state',
  events: 'data',
  approvals: 'input',
  projects: 'workspace_ids',
  api_keys: 'permissions',
}

type Row = Record<string, unknown>

const isSound = (table: string, row: Row): boolean => {
  const column = json[table]
  if (table === 'events' && !Number.isSafeInteger(row['seq'])) return false
  if (column === undefined) return true
  try {
    return typeof row[column] === 'string' && JSON.parse(row[column]) !== undefined
  } catch {
    return false
  }
}

/** Rows up to the first page that cannot be read, from either end; then those between by their numbers. */
const readRows = (file: SqliteFile, table: string, take: (row: Row) => void): boolean => {
  const order = (direction: 'ASC' | 'DESC'): { whole: boolean; last: number | undefined } => {
    let last: number | undefined
    try {
      const rows = file
        .prepare<[], Row>(`SELECT rowid AS rowid_, * FROM ${table} ORDER BY rowid ${direction}`)
        .iterate()
      for (const row of rows) {
        last = Number(row['rowid_'])
        take(row)
      }
      return { whole: true, last }
    } catch {
      return { whole: false, last }
    }
  }
  const up = order('ASC')
  if (up.whole) return true
  const down = order('DESC')
  const from = (up.last ?? 0) + 1
  const to = down.last === undefined ? from + blindRows : Math.min(down.last, from + 1_000_000)
  try {
    const one = file.prepare<[number], Row>(`SELECT rowid AS rowid_, * FROM ${table} WHERE rowid = ?`)
    for (let rowid = from; rowid < to; rowid++) {
      try {
        const row = one.get(rowid)
        if (row !== undefined) take(row)
      } catch {
        // On a page that is lost.
      }
    }
  } catch {
    // Not even its schema can be read.
  }
  return false
}

const openDamaged = (path: string): SqliteFile | undefined => {
  let file: SqliteFile | undefined
  try {
    // Beside an empty file SQLite would remove the log as outdated.
    if (statSync(path).size === 0) return undefined
    // Not read-only: the log beside it holds good pages, perhaps of those that are damaged in the file.
    file = new BetterSqlite(path, { fileMustExist: true })
    file.prepare('SELECT name FROM kysely_migration').all()
    return file
  } catch {
    file?.close()
    return undefined
  }
}

const pageSizeAt = 16
const changesAt = 24
const pagesAt = 28
const freeListAt = 32
const validForAt = 92

/**
 * The first page, and those below it, say where the tables are. They are where they are in every database that the same
 * migrations have made at once, so a new one's pages can stand in for those that are lost. Done to a copy; undefined where
 * they do not fit.
 */
const openWithSchemaOf = (path: string, model: SqliteFile): SqliteFile | undefined => {
  const copy = `${model.name}-first`
  try {
    const { size } = statSync(path)
    const image = model.serialize()
    const pageSize = Number(model.pragma('page_size', { simple: true }))
    const pageOf = (number: number): Buffer => image.subarray((number - 1) * pageSize, number * pageSize)
    const head = pageOf(1)
    const below = model
      .prepare<[], number>("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' AND pageno > 1")
      .pluck()
      .all()
    const pages = Math.floor(size / head.readUInt16BE(pageSizeAt))
    if (pages < 2) return undefined
    copyFileSync(path, copy)
    if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`)
    const page = Buffer.from(head)
    page.writeUInt32BE(pages, pagesAt)
    page.writeUInt32BE(page.readUInt32BE(changesAt), validForAt)
    page.fill(0, freeListAt, freeListAt + 8)
    const fd = openSync(copy, 'r+')
    writeSync(fd, page, 0, pageSize, 0)
    for (const number of below) writeSync(fd, pageOf(number), 0, pageSize, (number - 1) * pageSize)
    closeSync(fd)
  } catch {
    return undefined
  }
  return openDamaged(copy)
}

/** Parents before their children. */
const inOrder = ['users', 'workspaces', 'projects', 'tasks', 'sessions']

const tablesOf = (file: SqliteFile): string[] => {
  const names = file
    .prepare<[], string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'kysely\\_%' ESCAPE '\\'",
    )
    .pluck()
    .all()
  return [...inOrder, ...names.filter((name) => !inOrder.includes(name))]
}

const copyTable = (from: SqliteFile, into: SqliteFile, table: string): SalvagedTable => {
  const columns = (into.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name)
  let insert: { columns: string[]; run(row: Row): boolean } | undefined
  const prepare = (row: Row) => {
    const shared = columns.filter((column) => column in row)
    const statement = into.prepare<[Row]>(
      `INSERT OR IGNORE INTO ${table} (${shared.join(', ')}) VALUES (${shared.map((column) => `@${column}`).join(', ')})`,
    )
    return { columns: shared, run: (values: Row) => statement.run(values).changes > 0 }
  }
  let rows = 0
  let refused = 0
  const take = (row: Row): void => {
    try {
      if (!isSound(table, row)) throw new Error('unsound')
      insert ??= prepare(row)
      if (insert.run(row)) rows++
    } catch {
      refused++
    }
  }
  const whole = readRows(from, table, take)
  return { rows, broken: !whole || refused > 0 }
}

/**
 * Copies whatever can still be read of a damaged database into a new one that has the tables already. Of the sessions whose
 * log or row is not whole nothing stays there: they are returned.
 */
export const salvage = (
  path: string,
  into: SqliteFile,
): { tables: Record<string, SalvagedTable>; incomplete: Rescued[] } => {
  const tables: Record<string, SalvagedTable> = {}
  into.pragma('foreign_keys = OFF')
  const from = openDamaged(path) ?? openWithSchemaOf(path, into)
  into.exec('BEGIN')
  for (const table of tablesOf(into))
    tables[table] = from === undefined ? { rows: 0, broken: true } : copyTable(from, into, table)
  try {
    from?.close()
  } catch {
    // Its log could not be written back.
  }
  const incomplete = takeIncomplete(into)
  into.exec('COMMIT')
  into.pragma('foreign_keys = ON')
  return { tables, incomplete }
}

const takeIncomplete = (file: SqliteFile): Rescued[] => {
  const ids = file
    .prepare<[], string>(
      `SELECT id FROM sessions WHERE last_seq <> (SELECT count(*) FROM events WHERE session_id = id)
        OR last_seq <> (SELECT coalesce(max(seq), 0) FROM events WHERE session_id = id)
      UNION SELECT session_id FROM events WHERE session_id NOT IN (SELECT id FROM sessions)`,
    )
    .pluck()
    .all()
  const getRow = file.prepare<[string], SessionRow>('SELECT * FROM sessions WHERE id = ?')
  const getEvents = file
    .prepare<[string], string>('SELECT data FROM events WHERE session_id = ? AND seq > 0 ORDER BY seq')
    .pluck()
  const rescued = ids.map((id): Rescued => {
    const row = getRow.get(id)
    return {
      id,
      record: row === undefined ? undefined : fromSessionRow(row),
      events: getEvents.all(id).map((data): Message => JSON.parse(data)),
    }
  })
  for (const table of ['events', 'approvals'])
    for (const id of ids) file.prepare<[string]>(`DELETE FROM ${table} WHERE session_id = ?`).run(id)
  file.exec('DELETE FROM approvals WHERE session_id NOT IN (SELECT id FROM sessions)')
  for (const id of ids) file.prepare<[string]>('DELETE FROM sessions WHERE id = ?').run(id)
  return rescued
}
