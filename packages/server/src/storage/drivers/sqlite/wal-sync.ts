import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { AppError } from '../../../lib/app-error.ts'

/** Brings the write-ahead log to the disk while the event loop goes on. */
export type WalSync = {
  /** Resolves when everything that was committed before the call survives a power cut. */
  sync(): Promise<void>
  /** Resolves when the sync that is under way has ended, however it did; undefined when none is. */
  syncing(): Promise<void> | undefined
  /** Why no sync is believed any more; undefined while they are. */
  failed(): AppError | undefined
  /** Waits for what is under way. */
  close(): Promise<void>
}

/**
 * The log's file is made this long at once, in bytes: a quarter of what it reaches before it is checkpointed and written again
 * from its beginning, for all of it would take a start too long. A file that does not grow is synced in half the time, and
 * without the file system's own journal, which would hold up whoever else writes a file just then.
 */
const preparedBytes = 1000 * (4096 + 24) + 32

const prepare = (fd: number): void => {
  const { size } = fstatSync(fd)
  try {
    // Zeros are no valid frame: SQLite takes them for the end of the log.
    if (size < preparedBytes) writeSync(fd, Buffer.alloc(preparedBytes - size), 0, preparedBytes - size, size)
  } catch {
    // The last room on a disk is better used for events.
    ftruncateSync(fd, size)
  }
}

/** `onFailed` is called once, with the first sync that failed. */
export const createWalSync = (path: string, onFailed?: () => void): WalSync => {
  const fd = openSync(`${path}-wal`, 'r+')
  prepare(fd)
  let closed = false
  let failed: AppError | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  const start = (): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      if (failed !== undefined) return reject(failed)
      fdatasync(fd, (cause) => {
        if (cause === null) return resolve()
        // What could not be written is forgotten by the system: a second sync would succeed without it. So nothing is
        // acknowledged any more until the file was opened anew, and itself tells what is there.
        failed = new AppError('storage_unavailable', `The disk does not take what is written: ${cause.message}.`, {
          cause,
          hint: 'Look after the disk. The server goes on by itself when it takes data again.',
        })
        reject(failed)
        onFailed?.()
      })
    }).finally(() => {
      running = undefined
    })

  return {
    // A sync that is under way may have begun before the newest commit: all who come meanwhile share the next one.
    sync: () => {
      if (next !== undefined) return next
      if (running === undefined) return (running = start())
      const startNext = (): Promise<void> => {
        next = undefined
        return (running = start())
      }
      next = running.then(startNext, startNext)
      return next
    },
    syncing: () =>
      running?.then(
        () => undefined,
        () => undefined,
      ),
    failed: () => failed,
    close: async () => {
      await Promise.allSettled([running, next])
      if (!closed) closeSync(fd)
      closed = true
    },
  }
}
