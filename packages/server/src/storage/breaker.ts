import { AppError } from '../lib/app-error.ts'
import { BreakerOpenError, createBreaker, type BreakerState } from '../lib/breaker.ts'
import type { Database } from './database.ts'
import { isWrite, mapStores } from './map-stores.ts'

export type StorageBreaker = {
  state(): BreakerState
  /** What the storage failed with last. */
  reason(): string | undefined
  /** Called after each change. */
  onChange(listener: (state: BreakerState) => void): void
  /** The same database, whose writes are refused at once while the breaker is open. Reads go on. */
  guard(database: Database): Database
}

/** What is wrong with the storage itself, and so with the next write too. */
export const isStorageFailure = (error: unknown): error is AppError =>
  error instanceof AppError && (error.code === 'storage_unavailable' || error.code === 'storage_full')

/**
 * Opens after some failed writes in a row: one prompt that does not fit on a nearly full disk is no failed storage. Then writes
 * are refused with the last failure's code and Retry-After, until one of them is let through as a probe.
 */
export const createStorageBreaker = (settings: { failures: number; probeAfterMs: number }): StorageBreaker => {
  const breaker = createBreaker({ ...settings, isFailure: isStorageFailure })

  const run = async <T>(write: () => Promise<T>): Promise<T> => {
    try {
      return await breaker.run(write)
    } catch (error) {
      if (!(error instanceof BreakerOpenError) || !isStorageFailure(error.cause)) throw error
      const { code, message, hint } = error.cause
      throw new AppError(code, message, { hint, cause: error.cause, retryAfter: breaker.retryAfter })
    }
  }

  return {
    ...breaker,
    reason: () => {
      const failure = breaker.reason()
      return isStorageFailure(failure) ? failure.message : undefined
    },
    guard: (database) =>
      mapStores(database, (method, place) => (isWrite(place) ? (...args) => run(() => method(...args)) : method)),
  }
}
