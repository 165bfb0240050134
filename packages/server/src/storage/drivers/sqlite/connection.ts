import type { SqliteDatabase } from 'kysely'
import { AppError } from '../../../lib/app-error.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'
import type { SqliteFile } from './open-file.ts'
import { toStorageError } from './sqlite-error.ts'
import { createWalSync } from './wal-sync.ts'

/** What the stores share: one file, one way to write, one way to read. */
export type Connection = {
  file: SqliteFile
  /** For who writes one statement by itself: it is on disk when it has run. */
  synced: SqliteDatabase
  write: GroupCommit['run']
  /** Runs a query, and gives its errors their code. */
  read<T>(query: () => T): T
  close(): Promise<void>
}

/** Writes on a file that does not sync by itself. */
const syncEach = (file: SqliteFile): SqliteDatabase => ({
  prepare: (sql) => {
    const statement = file.prepare<unknown[]>(sql)
    if (statement.readonly) return statement
    const withSync = <T>(run: () => T): T => {
      // A group's, whose ROLLBACK failed with the disk: this would be undone with it.
      if (file.inTransaction) file.exec('ROLLBACK')
      file.pragma('synchronous = FULL')
      try {
        return run()
      } finally {
        file.pragma('synchronous = NORMAL')
      }
    }
    return {
      reader: statement.reader,
      all: (parameters) => withSync(() => statement.all(parameters)),
      run: (parameters) => withSync(() => statement.run(parameters)),
      iterate: (parameters) => withSync(() => statement.all(parameters)).values(),
    }
  },
  close: () => file.close(),
})

export const createConnection = (file: SqliteFile, onSyncFailed?: () => void): Connection => {
  const wal =
    file.pragma('journal_mode', { simple: true }) === 'wal' ? createWalSync(file.name, onSyncFailed) : undefined
  // The group's commits are synced by `wal`, beside the event loop.
  if (wal !== undefined) file.pragma('synchronous = NORMAL')
  const group = createGroupCommit(file, wal)
  return {
    file,
    synced: wal === undefined ? file : syncEach(file),
    write: group.run,
    read: (query) => {
      if (!file.open) throw new AppError('storage_unavailable', 'The database is closed.')
      try {
        return query()
      } catch (error) {
        throw toStorageError(error)
      }
    },
    close: async () => {
      await group.close()
      file.close()
    },
  }
}
