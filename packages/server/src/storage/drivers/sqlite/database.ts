import { AppError } from '../../../lib/app-error.ts'
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

type Options = {
  path: string
  /** Hears in a sentence what an operator may want to know of the opening. */
  log?: (sentence: string) => void
}

const prepareFile = async (file: SqliteFile, { path, log }: Options): Promise<void> => {
  const pending = pendingMigrations(file)
  if (!configure(file)) log?.(`The file system of ${path} cannot do write-ahead logging: every write will be slower.`)
  if (pending.length === 0) return
  await migrate(file)
  log?.(`Brought ${path} up to date: ${pending.join(', ')}.`)
}

/** The error of opening, with the path: whoever starts the server needs to know which file is meant. */
const openingError = (path: string, cause: unknown): AppError => {
  const error = toStorageError(cause)
  const reason = cause instanceof Error && error.code === 'internal' ? cause.message : error.message
  const code = error.code === 'storage_full' || (cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC') ? 'storage_full' : 'storage_unavailable'
  return new AppError(code, `Cannot open the database ${path}: ${reason}`, { cause, hint: error.code === 'internal' ? undefined : error.hint })
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
      [Symbol.asyncDispose]: async () => connection.close(),
    }
  } catch (error) {
    file?.close()
    throw openingError(options.path, error)
  }
}
