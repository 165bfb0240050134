import BetterSqlite from 'better-sqlite3'
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'

export type SqliteFile = BetterSqlite.Database

/**
 * How long a statement waits for a lock of another program, in milliseconds. The whole server waits with it, so it is short:
 * long enough for somebody's `sqlite3 aicm.db`, and what it cannot outlast is refused as retryable.
 */
const busyTimeout = 250

/** Opens the file, making it where it is missing. It changes nothing in a file that is there. */
export const openFile = (path: string): SqliteFile => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // SQLite gives the files beside it the same mode: only the server's user may read what people wrote.
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
  return new BetterSqlite(path, { timeout: busyTimeout })
}

/**
 * WAL, so that reading and writing do not wait for each other, and FULL, so that what was acknowledged survives a power cut:
 * the log is synced at each commit. Returns false where the file system cannot do WAL (some network shares).
 */
export const configure = (file: SqliteFile): boolean => {
  const mode = file.pragma('journal_mode = WAL', { simple: true })
  file.pragma('synchronous = FULL')
  file.pragma('foreign_keys = ON')
  // In KiB: the tops of the indexes and what is being written to stay in memory.
  file.pragma('cache_size = -16384')
  // In pages. What is written again and again, the end of a table or the row of a session, is copied into the file once for
  // all the times: with SQLite's own 1000 that took a fifth of what accepting prompts costs.
  file.pragma('wal_autocheckpoint = 4000')
  // After a burst the log's file shrinks back to this, in bytes.
  file.pragma(`journal_size_limit = ${64 * 1024 * 1024}`)
  return mode === 'wal'
}
