import { BrokenCircuitError, circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen } from 'cockatiel'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** Keeps a part that fails again and again from being asked: a failure domain has one. */
export type Breaker = {
  state(): BreakerState
  /** The failure that opened it; undefined while it is closed. */
  reason(): unknown
  /** Called after each change. */
  onChange(listener: (state: BreakerState) => void): void
  /** Seconds after which it is worth asking again. */
  retryAfter: number
  /** Rejects with what `act` rejects with, and with BreakerOpenError without having called it. */
  run<T>(act: () => Promise<T>): Promise<T>
}

export class BreakerOpenError extends Error {}

const names: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
}

/** Opens after so many failures in a row; after `probeAfterMs` one call is let through and decides. */
export const createBreaker = (options: {
  failures: number
  probeAfterMs: number
  /** What is wrong with the part, and not with the request alone. */
  isFailure(error: unknown): boolean
}): Breaker => {
  let last: unknown
  const circuit = circuitBreaker(
    handleWhen((error) => options.isFailure(error)),
    { halfOpenAfter: options.probeAfterMs, breaker: new ConsecutiveBreaker(options.failures) },
  )
  return {
    state: () => names[circuit.state],
    reason: () => (circuit.state === CircuitState.Closed ? undefined : last),
    onChange: (listener) => void circuit.onStateChange((state) => listener(names[state])),
    retryAfter: Math.max(1, Math.ceil(options.probeAfterMs / 1000)),
    run: async (act) => {
      try {
        return await circuit.execute(act)
      } catch (error) {
        if (error instanceof BrokenCircuitError)
          throw new BreakerOpenError('the circuit breaker is open', { cause: last })
        if (options.isFailure(error)) last = error
        throw error
      }
    },
  }
}
