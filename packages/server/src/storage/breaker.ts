import { BrokenCircuitError, circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen } from 'cockatiel'
import { AppError } from '../lib/app-error.ts'
import type { Database } from './database.ts'
import { isWrite, mapStores } from './map-stores.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

export type StorageBreaker = {
  state(): BreakerState
  /** What the storage failed with last. */
  reason(): string | undefined
  /** Called after each change. */
  onChange(listener: (state: BreakerState) => void): void
  /** The same database, whose writes are refused at once while the breaker is open. Reads go on. */
  guard(database: Database): Database
}

const names: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
}

/** What is wrong with the storage itself, and so with the next write too. */
export const isStorageFailure = (error: unknown): error is AppError =>
  error instanceof AppError && (error.code === 'storage_unavailable' || error.code === 'storage_full')

/**
 * Opens after so many failed writes in a row: one prompt that does not fit on a nearly full disk is no failed storage. Then
 * writes are refused with the last failure's code and Retry-After, until after `probeAfterMs` one of them is let through.
 */
export const createStorageBreaker = ({
  failures,
  probeAfterMs,
}: {
  failures: number
  probeAfterMs: number
}): StorageBreaker => {
  const circuit = circuitBreaker(handleWhen(isStorageFailure), {
    halfOpenAfter: probeAfterMs,
    breaker: new ConsecutiveBreaker(failures),
  })
  let last: AppError | undefined

  const run = async <T>(write: () => Promise<T>): Promise<T> => {
    try {
      return await circuit.execute(write)
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        throw new AppError(last?.code ?? 'storage_unavailable', last?.message ?? 'The storage failed.', {
          hint: last?.hint,
          cause: last,
          retryAfter: Math.max(1, Math.ceil(probeAfterMs / 1000)),
        })
      if (isStorageFailure(error)) last = error
      throw error
    }
  }

  return {
    state: () => names[circuit.state],
    reason: () => (circuit.state === CircuitState.Closed ? undefined : last?.message),
    onChange: (listener) => void circuit.onStateChange((state) => listener(names[state])),
    guard: (database) =>
      mapStores(database, (method, place) => (isWrite(place) ? (...args) => run(() => method(...args)) : method)),
  }
}
