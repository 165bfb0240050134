import { AppError } from '../../../lib/app-error.ts'
import type { Log } from '../../../lib/log.ts'
import type { Database } from '../../database.ts'
import { newestMigration } from '../../migrations/index.ts'
import { createApprovals } from './approvals.ts'
import { createConnection } from './connection.ts'
import { createEvents } from './events.ts'
import { migrate, pendingMigrations } from './migrate.ts'
import { configure, openFile, type SqliteFile } from './open-file.ts'
import { createSessions } from './sessions.ts'
import { createSharedStores } from './shared-stores.ts'
import { toStorageError } from './sqlite-error.ts'

type Options = { path: string; log?: Log }

const prepareFile = async (file: SqliteFile, { path, log }: Options): Promise<void> => {
  const pending = pendingMigrations(file)
  if (!configure(file)) log?.warn({ path }, 'the file system cannot do write-ahead logging: every write will be slower')
  if (pending.length === 0) return
  await migrate(file)
  log?.info({ path, migrations: pending }, 'database brought up to date')
}

/** The error of opening, with the path: whoever starts the server needs to know which file is meant. */
const openingError = (path: string, cause: unknown): AppError => {
  const outOfSpace = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC'
  const error = outOfSpace ? new AppError('storage_full', 'The disk is full.', { cause }) : toStorageError(cause)
  // What is no error of SQLite's comes from the file system, and says itself what is wrong.
  if (error.code === 'internal' && cause instanceof Error) {
    return new AppError('storage_unavailable', `Cannot open the database ${path}: ${cause.message}`, { cause })
  }
  return new AppError(error.code, `Cannot open the database ${path}: ${error.message}`, { cause, hint: error.hint })
}

/** One file, one writer: the durable store of a server on one machine. */
export const openSqliteDatabase = async (options: Options): Promise<Database> => {
  let file: SqliteFile | undefined
  try {
    file = openFile(options.path)
    await prepareFile(file, options)
    const connection = createConnection(file)
    return {
      events: createEvents(connection),
      sessions: createSessions(connection),
      approvals: createApprovals(connection),
      ...createSharedStores(connection),
      describe: () => ({ kind: 'sqlite', schemaVersion: newestMigration }),
      [Symbol.asyncDispose]: () => connection.close(),
    }
  } catch (error) {
    file?.close()
    throw openingError(options.path, error)
  }
}
