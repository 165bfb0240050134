import type { Log } from '../../../lib/log.ts'
import type { Database } from '../../database.ts'
import { newestMigration } from '../../migrations/index.ts'
import { createApprovals } from './approvals.ts'
import { createConnection } from './connection.ts'
import { createEvents } from './events.ts'
import { migrate, pendingMigrations } from './migrate.ts'
import { openingError } from './opening-error.ts'
import { configure, openFile, type SqliteFile } from './open-file.ts'
import { createSessions } from './sessions.ts'
import { createSharedStores } from './shared-stores.ts'

type Options = { path: string; log?: Log }

const prepareFile = async (file: SqliteFile, { path, log }: Options): Promise<void> => {
  const pending = pendingMigrations(file)
  if (!configure(file)) log?.warn({ path }, 'the file system cannot do write-ahead logging: every write will be slower')
  if (pending.length === 0) return
  await migrate(file)
  log?.info({ path, migrations: pending }, 'database brought up to date')
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
