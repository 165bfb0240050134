import { AppError } from '../../../lib/app-error.ts'
import { checkKey } from '../../check-key.ts'
import type { KeyValueStore } from '../../key-value-store.ts'

const byBytes = ([a]: [string, string], [b]: [string, string]): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Forgets everything when it is closed. */
export const openMemoryKeyValue = (): KeyValueStore => {
  const values = new Map<string, string>()
  let closed = false
  const assertUsable = (key?: string): void => {
    if (closed) throw new AppError('storage_unavailable', 'The key-value store is closed.')
    if (key !== undefined) checkKey(key)
  }
  return {
    get: async (key) => {
      assertUsable(key)
      const value = values.get(key)
      return value === undefined ? undefined : JSON.parse(value)
    },
    put: async (key, value) => {
      assertUsable(key)
      values.set(key, JSON.stringify(value))
    },
    delete: async (key) => {
      assertUsable(key)
      values.delete(key)
    },
    list: async (prefix) => {
      assertUsable()
      return [...values]
        .filter(([key]) => key.startsWith(prefix))
        .sort(byBytes)
        .map(([key, value]) => ({ key, value: JSON.parse(value) }))
    },
    [Symbol.asyncDispose]: async () => {
      closed = true
      values.clear()
    },
  }
}
