import { existsSync, statSync, writeFileSync } from 'node:fs'
import type { SqliteFile } from './open-file.ts'
import { damaged } from './sqlite-error.ts'

/**
 * How much to look at: `all`, or no more than a start may take. Then of a file that is larger than this, in bytes, the log's
 * pages are left out.
 */
export type Look = 'all' | 'quick'
const quickBytes = 128 * 1024 * 1024

const notePath = (path: string): string => `${path}.damaged`

/** For the next start: what is damaged looks whole as long as nobody reads the damaged part. */
export const noteDamage = (path: string): void => {
  try {
    writeFileSync(notePath(path), '')
  } catch {
    // The disk takes nothing at all: the damage will be found when it is read again.
  }
}

export const damageNote = notePath

/**
 * Whether the file should be looked through before it is used: SQLite removes its log when it is closed, so a log that is
 * there tells of a server that was killed, or of a power cut.
 */
export const suspicion = (path: string): Look | undefined => {
  if (existsSync(notePath(path))) return 'all'
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0 ? 'quick' : undefined
}

const json: [table: string, column: string][] = [
  ['sessions', 'state'],
  ['approvals', 'input'],
  ['events', 'data'],
]

/** Throws an error of SQLite's when the file's structure is broken, or what is JSON cannot be read as such. */
export const findDamage = (file: SqliteFile, look: Look): void => {
  const count = (pragma: string): number => Number(file.pragma(pragma, { simple: true }))
  const whole = look === 'all' || count('page_count') * count('page_size') <= quickBytes
  const tables = file.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()
  const checked = tables.filter((table) => whole || (table !== 'events' && table !== 'audit_log'))
  for (const check of whole ? ['quick_check(1)'] : checked.map((table) => `quick_check(${table})`)) {
    const found = file.pragma(check, { simple: true })
    if (found !== 'ok') throw damaged(String(found))
  }
  for (const [table, column] of json)
    if (
      checked.includes(table) &&
      file.prepare(`SELECT 1 FROM ${table} WHERE NOT json_valid(${column}) LIMIT 1`).get() !== undefined
    )
      throw damaged(`${table}.${column} is no JSON`)
}
