import type { CircuitBreakerPolicy } from 'cockatiel'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** Keeps a part that fails again and again from being asked: a failure domain has one. */
export type Breaker = {
  state(): BreakerState
  /** What it failed with last; undefined while it is closed. */
  reason(): unknown
  /** Called after each change. */
  onChange(listener: (state: BreakerState) => void): void
  /** Seconds after which it is worth asking again. */
  retryAfter: number
  /** Rejects with what `act` rejects with, or with BreakerOpenError without having called it. */
  run<T>(act: () => Promise<T>): Promise<T>
}

/** Its cause is the last failure. */
export class BreakerOpenError extends Error {}

/** In the order of cockatiel's CircuitState; `isolated` is never used. */
const names = ['closed', 'open', 'half-open', 'open'] as const

type Settings = {
  /** In a row. */
  failures: number
  /** How long it stays open until one call is let through, which decides. */
  probeAfterMs: number
  /** What is wrong with the part, and not with the request alone. */
  isFailure(error: unknown): boolean
}

type Circuit = { policy: CircuitBreakerPolicy; isBroken(error: unknown): boolean }

/** Loaded with the first failure: a start and a healthy part do not pay for it. */
const loadCircuit = async ({ failures, probeAfterMs, isFailure }: Settings): Promise<Circuit> => {
  const { BrokenCircuitError, circuitBreaker, ConsecutiveBreaker, handleWhen } = await import('cockatiel')
  const policy = circuitBreaker(
    handleWhen((error) => isFailure(error)),
    { halfOpenAfter: probeAfterMs, breaker: new ConsecutiveBreaker(failures) },
  )
  return { policy, isBroken: (error) => error instanceof BrokenCircuitError }
}

/** Opens after so many failures in a row; then nothing is tried until one call is let through as a probe. */
export const createBreaker = (settings: Settings): Breaker => {
  const listeners: ((state: BreakerState) => void)[] = []
  let loaded: Circuit | undefined
  let loading: Promise<Circuit> | undefined
  let last: unknown

  const load = (): Promise<Circuit> =>
    (loading ??= loadCircuit(settings).then((circuit) => {
      circuit.policy.onStateChange((state) => {
        for (const listener of listeners) listener(names[state])
      })
      return (loaded = circuit)
    }))

  const state = (): BreakerState => (loaded === undefined ? 'closed' : names[loaded.policy.state])

  const guarded = async <T>({ policy, isBroken }: Circuit, act: () => Promise<T>): Promise<T> => {
    try {
      return await policy.execute(act)
    } catch (error) {
      if (isBroken(error)) throw new BreakerOpenError('the circuit breaker is open', { cause: last })
      if (settings.isFailure(error)) last = error
      throw error
    }
  }

  return {
    state,
    reason: () => (state() === 'closed' ? undefined : last),
    onChange: (listener) => void listeners.push(listener),
    retryAfter: Math.max(1, Math.ceil(settings.probeAfterMs / 1000)),
    run: async (act) => {
      if (loaded !== undefined) return guarded(loaded, act)
      try {
        return await act()
      } catch (error) {
        if (settings.isFailure(error)) return guarded(await load(), () => Promise.reject(error))
        throw error
      }
    },
  }
}
