import { AppError } from '../../../lib/app-error.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'
import type { SqliteFile } from './open-file.ts'
import { toStorageError } from './sqlite-error.ts'
import { createWalSync } from './wal-sync.ts'

/** What the stores share: one file, one way to write, one way to read. */
export type Connection = {
  file: SqliteFile
  write: GroupCommit['run']
  /** Runs a query, and gives its errors their code. */
  read<T>(query: () => T): T
  close(): Promise<void>
}

export const createConnection = (file: SqliteFile, onSyncFailed?: () => void): Connection => {
  const wal =
    file.pragma('journal_mode', { simple: true }) === 'wal' ? createWalSync(file.name, onSyncFailed) : undefined
  const group = createGroupCommit(file, wal)
  return {
    file,
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
