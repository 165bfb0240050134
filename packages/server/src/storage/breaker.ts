import type { CircuitBreakerPolicy } from 'cockatiel'
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

/** What is wrong with the storage itself, and so with the next write too. */
export const isStorageFailure = (error: unknown): error is AppError =>
  error instanceof AppError && (error.code === 'storage_unavailable' || error.code === 'storage_full')

/** In the order of cockatiel's CircuitState; `isolated` is never used. */
const names = ['closed', 'open', 'half-open', 'open'] as const

type Settings = {
  /** Failed writes in a row: one prompt that does not fit on a nearly full disk is no failed storage. */
  failures: number
  probeAfterMs: number
}

type Circuit = { policy: CircuitBreakerPolicy; isBroken(error: unknown): boolean }

/** Loaded with the first failure: a start and a healthy storage do not pay for it. */
const loadCircuit = async ({ failures, probeAfterMs }: Settings): Promise<Circuit> => {
  const { BrokenCircuitError, circuitBreaker, ConsecutiveBreaker, handleWhen } = await import('cockatiel')
  const policy = circuitBreaker(handleWhen(isStorageFailure), {
    halfOpenAfter: probeAfterMs,
    breaker: new ConsecutiveBreaker(failures),
  })
  return { policy, isBroken: (error: unknown) => error instanceof BrokenCircuitError }
}

/**
 * Opens after some failures in a row. Then writes are refused with the last failure's code and Retry-After, until one of them
 * is let through as a probe.
 */
export const createStorageBreaker = (settings: Settings): StorageBreaker => {
  const listeners: ((state: BreakerState) => void)[] = []
  let loaded: Circuit | undefined
  let loading: Promise<Circuit> | undefined
  let last: AppError | undefined

  const load = (): Promise<Circuit> =>
    (loading ??= loadCircuit(settings).then((circuit) => {
      circuit.policy.onStateChange((state) => {
        for (const listener of listeners) listener(names[state])
      })
      return (loaded = circuit)
    }))

  const state = (): BreakerState => (loaded === undefined ? 'closed' : names[loaded.policy.state])

  const guarded = async <T>({ policy, isBroken }: Circuit, write: () => Promise<T>): Promise<T> => {
    try {
      return await policy.execute(write)
    } catch (error) {
      if (isStorageFailure(error)) last = error
      if (!isBroken(error)) throw error
      throw new AppError(last?.code ?? 'storage_unavailable', last?.message ?? 'The storage failed.', {
        hint: last?.hint,
        cause: last,
        retryAfter: Math.max(1, Math.ceil(settings.probeAfterMs / 1000)),
      })
    }
  }

  const run = async <T>(write: () => Promise<T>): Promise<T> => {
    if (loaded !== undefined) return guarded(loaded, write)
    try {
      return await write()
    } catch (error) {
      if (isStorageFailure(error)) return guarded(await load(), () => Promise.reject(error))
      throw error
    }
  }

  return {
    state,
    reason: () => (state() === 'closed' ? undefined : last?.message),
    onChange: (listener) => void listeners.push(listener),
    guard: (database) =>
      mapStores(database, (method, place) => (isWrite(place) ? (...args) => run(() => method(...args)) : method)),
  }
}
