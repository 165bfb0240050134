import { AppError } from '../../../lib/app-error.ts'
import type { SqliteFile } from './open-file.ts'
import { toStorageError } from './sqlite-error.ts'
import type { WalSync } from './wal-sync.ts'

export type GroupCommit = {
  /**
   * Runs `change` in the next transaction, after those given before it. Resolves once it is on disk; rejects when nothing of
   * it is. `onWritten` is called before, when the change has left this process and only a power cut can still undo it.
   */
  run(change: () => void, onWritten?: () => void): Promise<void>
  /** Commits what waits, then refuses the rest. */
  close(): Promise<void>
}

type Waiting = { change(): void; onWritten?(): void; resolve(): void; reject(error: unknown): void }

/** So many changes at most in one transaction: the event loop stands still for them. */
const groupLimit = 500

/**
 * A commit costs one sync of the disk however much is in it. So the changes that one turn of the event loop brings (the
 * requests of many clients, the lines of many processes) share a transaction. A lone change waits only until the turn ends.
 * One that is refused takes nothing else with it.
 *
 * Where `wal` is given the file must not sync at a commit: the event loop goes on while `wal` does it.
 */
export const createGroupCommit = (file: SqliteFile, wal?: WalSync): GroupCommit => {
  const begin = file.prepare('BEGIN IMMEDIATE')
  const commit = file.prepare('COMMIT')
  const rollback = file.prepare('ROLLBACK')
  const savepoint = file.prepare('SAVEPOINT change')
  const release = file.prepare('RELEASE change')
  const undo = file.prepare('ROLLBACK TO change')

  const queue: Waiting[] = []
  /** Committed, and not yet on its way to the disk. */
  const written: Waiting[] = []
  let scheduled = false
  let closed = false

  /** The refusal of this change alone; throws what is wrong with the whole database. */
  const tryChange = (change: () => void): AppError | undefined => {
    savepoint.run()
    try {
      change()
    } catch (cause) {
      const error = toStorageError(cause)
      if (error.code !== 'internal' || !file.inTransaction) throw error
      undo.run()
      release.run()
      return error
    }
    release.run()
    return undefined
  }

  /** Leaves the transaction open. Gives back which changes were refused. */
  const runGroup = (group: Waiting[]): (AppError | undefined)[] => {
    begin.run()
    try {
      // A savepoint costs as much as the change itself, and hardly ever is one refused.
      for (const { change } of group) change()
      return []
    } catch (cause) {
      if (toStorageError(cause).code !== 'internal') throw cause
      if (file.inTransaction) rollback.run()
    }
    begin.run()
    return group.map(({ change }) => tryChange(change))
  }

  const commitGroup = (group: Waiting[]): void => {
    // What nobody may be told of must not be written either: it would be found as if somebody else had written it.
    const failed = wal?.failed()
    if (failed !== undefined) {
      for (const waiting of group) waiting.reject(failed)
      return
    }
    let refusals: (AppError | undefined)[]
    try {
      // A ROLLBACK that failed with the disk is still owed.
      if (file.inTransaction) rollback.run()
      refusals = runGroup(group)
      commit.run()
    } catch (cause) {
      const error = toStorageError(cause)
      try {
        if (file.inTransaction) rollback.run()
      } catch {
        // The next group tries again.
      }
      // What is small may still fit: one large prompt must not take the others with it.
      if (error.code === 'storage_full' && group.length > 1) for (const waiting of group) commitGroup([waiting])
      else for (const waiting of group) waiting.reject(error)
      return
    }
    for (const [index, waiting] of group.entries()) {
      const refusal = refusals[index]
      if (refusal !== undefined) waiting.reject(refusal)
      else {
        written.push(waiting)
        waiting.onWritten?.()
      }
    }
  }

  const commitNext = (): void => {
    if (queue.length > 0) commitGroup(queue.splice(0, groupLimit))
  }

  const syncWritten = (): void => {
    if (written.length === 0) return
    const synced = wal?.sync()
    for (const { resolve, reject } of written.splice(0)) {
      if (synced === undefined) resolve()
      else synced.then(resolve, reject)
    }
  }

  const finish = (): void => {
    syncWritten()
    scheduled = false
    if (queue.length > 0) schedule()
  }

  const flush = (): void => {
    const alone = queue.length === 1
    commitNext()
    if (!alone) return finish()
    // What its writing brings about, a prompt's entry in the audit log, needs no sync of its own. Where there are more the
    // next ones come soon enough.
    setImmediate(() => {
      commitNext()
      finish()
    })
  }

  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    const syncing = wal?.syncing()
    if (syncing === undefined) setImmediate(flush)
    else void syncing.then(() => setImmediate(flush))
  }

  return {
    run: (change, onWritten) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(new AppError('storage_unavailable', 'The database is closed.'))
          return
        }
        queue.push({ change, onWritten, resolve, reject })
        schedule()
      }),
    close: async () => {
      closed = true
      while (queue.length > 0) commitNext()
      syncWritten()
      await wal?.close()
    },
  }
}
