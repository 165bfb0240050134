import { open, type RootDatabase } from 'lmdb'
import { mkdirSync } from 'node:fs'
import { AppError } from '../../../lib/app-error.ts'
import { checkKey } from '../../check-key.ts'
import type { KeyValueStore } from '../../key-value-store.ts'
import { checkStoreFile } from './check-file.ts'
import { toKeyValueError } from './lmdb-error.ts'

type Change = { key: string; /** JSON; undefined to delete. */ value: string | undefined }
type Waiting = Change & { resolve(): void; reject(error: AppError): void }

const openStore = (folder: string): RootDatabase<string, string> => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    checkStoreFile(folder)
    return open<string, string>({ path: folder, noSubdir: false, encoding: 'string', overlappingSync: false })
  } catch (cause) {
    const error = toKeyValueError(folder, cause)
    const reason = cause instanceof Error ? cause.message : error.message
    throw new AppError(error.code, `Cannot open the key-value store ${folder}: ${reason}`, { cause, hint: error.hint })
  }
}

/**
 * `path` is a folder. What put and delete have resolved for is synced to the disk: it survives the death of the server and a
 * power cut. The changes of one turn of the event loop share a transaction, and so a sync.
 *
 * lmdb's own asynchronous `put` is not used: when the disk is full it leaves rejected promises that nobody can catch, and
 * they would end the process.
 */
export const openLmdbKeyValue = ({ path }: { path: string }): KeyValueStore => {
  const store = openStore(path)
  const queue: Waiting[] = []
  let next: NodeJS.Immediate | undefined
  let closed = false

  const apply = ({ key, value }: Change): void => {
    if (value === undefined) store.removeSync(key)
    else store.putSync(key, value)
  }

  const commitGroup = (group: Waiting[]): void => {
    try {
      store.transactionSync(() => {
        for (const change of group) apply(change)
      })
    } catch (cause) {
      const error = toKeyValueError(path, cause)
      // What is small may still fit: one large value must not take the others with it.
      if (error.code === 'storage_full' && group.length > 1) for (const waiting of group) commitGroup([waiting])
      else for (const waiting of group) waiting.reject(error)
      return
    }
    for (const waiting of group) waiting.resolve()
  }

  const flush = (): void => {
    next = undefined
    if (queue.length > 0) commitGroup(queue.splice(0))
  }

  const assertUsable = (key?: string): void => {
    if (closed) throw new AppError('storage_unavailable', 'The key-value store is closed.')
    if (key !== undefined) checkKey(key)
  }

  const write = (key: string, value: string | undefined): Promise<void> => {
    assertUsable(key)
    return new Promise((resolve, reject) => {
      queue.push({ key, value, resolve, reject })
      next ??= setImmediate(flush)
    })
  }

  return {
    get: async (key) => {
      assertUsable(key)
      const value = store.get(key)
      return value === undefined ? undefined : JSON.parse(value)
    },
    put: async (key, value) => write(key, JSON.stringify(value)),
    delete: async (key) => write(key, undefined),
    list: async (prefix) => {
      assertUsable()
      const found = []
      for (const { key, value } of store.getRange({ start: prefix })) {
        if (!key.startsWith(prefix)) break
        found.push({ key, value: JSON.parse(value) })
      }
      return found
    },
    [Symbol.asyncDispose]: async () => {
      if (closed) return
      closed = true
      clearImmediate(next)
      flush()
      await store.close()
    },
  }
}
