import { AppError } from '../../../lib/app-error.ts'
import type { Log } from '../../../lib/log.ts'
import type { Database } from '../../database.ts'
import { mapStores } from '../../map-stores.ts'
import { newestMigration } from '../../migrations/index.ts'
import { createApprovals } from './approvals.ts'
import { createAudit } from './audit.ts'
import { createConnection } from './connection.ts'
import { createEvents } from './events.ts'
import { findDamage, noteDamage, type Look } from './find-damage.ts'
import { migrate, pendingMigrations } from './migrate.ts'
import { openingError } from './opening-error.ts'
import { configure, openFile, type SqliteFile } from './open-file.ts'
import { createSessions } from './sessions.ts'
import { createSharedStores } from './shared-stores.ts'
import { isDamage } from './sqlite-error.ts'

type Options = {
  path: string
  log?: Log
  /** Look for damage first: takes as long as reading what is looked at. */
  verify?: Look
  /** The file was open before, and syncs of its log had failed: it is not opened while that may still show. */
  settle?: boolean
  /** Called once when a sync has failed: nothing more is written until the file was opened anew. */
  onSyncFailed?: () => void
}

/**
 * Whoever had the file open before may have seen a sync of its log fail. A page whose sync has failed is in memory only, and no
 * later sync of the log would write it: copied into the database it is written anew, and synced there.
 */
const settleLog = (file: SqliteFile): boolean => {
  const [result] = file.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
  return result?.busy === 0
}

const prepareFile = async (file: SqliteFile, { path, log, verify, settle }: Options): Promise<void> => {
  if (verify !== undefined) findDamage(file, verify)
  const pending = pendingMigrations(file)
  if (!configure(file)) log?.warn({ path }, 'the file system cannot do write-ahead logging: every write will be slower')
  if (pending.length > 0) {
    await migrate(file)
    log?.info({ path, migrations: pending }, 'database brought up to date')
  }
  if (!settleLog(file) && settle === true)
    throw new AppError('storage_unavailable', 'Another program holds the database.')
}

/** One file, one writer: the durable store of a server on one machine. */
export const openSqliteDatabase = async (options: Options): Promise<Database> => {
  let file: SqliteFile | undefined
  try {
    file = openFile(options.path)
    await prepareFile(file, options)
    const connection = createConnection(file, options.onSyncFailed)
    const database: Database = {
      events: createEvents(connection),
      sessions: createSessions(connection),
      approvals: createApprovals(connection),
      ...createSharedStores(connection),
      audit: createAudit(connection),
      describe: () => ({ kind: 'sqlite', schemaVersion: newestMigration }),
      [Symbol.asyncDispose]: () => connection.close(),
    }
    const noted = (error: unknown): never => {
      if (isDamage(error)) noteDamage(options.path)
      throw error
    }
    return mapStores(
      database,
      (method) =>
        (...args) =>
          method(...args).catch(noted),
    )
  } catch (error) {
    file?.close()
    throw openingError(options.path, error)
  }
}
