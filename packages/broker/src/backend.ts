import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BreakerState, CredentialKind } from './config.ts'

/** Who answers the requests that were let in: the model API, or the demo. */
export type Backend = {
  mode: 'live' | 'demo'
  upstream: string | null
  credential: CredentialKind
  breaker: () => BreakerState
  /** Owns the response from here on; must not throw. `path` is the request's path and query, checked. */
  answer: (request: IncomingMessage, response: ServerResponse, path: string) => void
}

/** In the order of cockatiel's CircuitState; `isolated` is never used. */
export const breakerNames = ['closed', 'open', 'half-open', 'open'] as const
