import BetterSqlite from 'better-sqlite3'
import { AppError } from '../../../lib/app-error.ts'
import type { SqlErrors } from '../sql/run-query.ts'

/** What is wrong with the file or the disk, not with the statement: no change can succeed until somebody mends it. */
const unavailable: Record<string, string> = {
  BUSY: 'Another program holds the database.',
  LOCKED: 'Another program holds the database.',
  PROTOCOL: 'Another program holds the database.',
  IOERR: 'The disk of the database failed.',
  READONLY: 'The database cannot be written.',
  PERM: 'The database cannot be written.',
  CANTOPEN: 'The database file cannot be opened.',
  CORRUPT: 'The database file is damaged.',
  NOTADB: 'The database file is not a SQLite database, or it is damaged.',
  NOMEM: 'There is not enough memory for the database.',
}

const codeOf = (error: unknown): string => (error instanceof BetterSqlite.SqliteError ? error.code : '')

/** The file itself is damaged, not only out of reach. Asked of what the driver threw, or of the AppError made from it. */
export const isDamage = (error: unknown): boolean =>
  /^SQLITE_(?:CORRUPT|NOTADB)/.test(codeOf(error)) ||
  (error instanceof Error && error.cause !== undefined && isDamage(error.cause))

/** What was read cannot be what was written. */
export const damaged = (what: string) => new BetterSqlite.SqliteError(what, 'SQLITE_CORRUPT')

/** Any error of the driver as AppError storage_full, storage_unavailable, or internal for what is our own fault. */
export const toStorageError = (error: unknown): AppError => {
  if (error instanceof AppError) return error
  const [, kind = ''] = codeOf(error).split('_')
  if (kind === 'FULL') return new AppError('storage_full', 'The disk is full.', { cause: error })
  const reason = unavailable[kind]
  if (isDamage(error))
    return new AppError('storage_unavailable', reason ?? '', {
      cause: error,
      hint: 'Restart the server: it sets the file aside and rebuilds what it can.',
    })
  return reason === undefined
    ? new AppError('internal', 'The database refused the statement.', { cause: error })
    : new AppError('storage_unavailable', reason, { cause: error })
}

export const sqliteErrors: SqlErrors = {
  isTaken: (error) => codeOf(error) === 'SQLITE_CONSTRAINT_UNIQUE',
  toStorageError,
}
