import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import BetterSqlite from 'better-sqlite3'

/** Another server has the data folder. */
export class FolderTakenError extends Error {}

/**
 * Takes a data folder for this process alone, by the lock of a database file: the system lets go of it when the process
 * ends, however it ends, so a killed server blocks nobody.
 */
export const lockFolder = (dir: string): { release(): void } => {
  const pidFile = join(dir, 'server.pid')
  const lock = new BetterSqlite(join(dir, 'server.lock'), { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (!(error instanceof BetterSqlite.SqliteError) || error.code !== 'SQLITE_BUSY') throw error
    throw new FolderTakenError(
      `Another server (pid ${pidIn(pidFile)}) uses the data folder ${dir}. Stop it, or choose another folder with --data-dir.`,
    )
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  return { release: () => void lock.close() }
}

const pidIn = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
