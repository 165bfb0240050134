import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CredentialStatus } from './status.ts'
import type { SessionIdentity } from './token.ts'

/** A call that was let in. `path` is its path and query, checked. */
export type Call = { request: IncomingMessage; response: ServerResponse; path: string; identity: SessionIdentity }

/** Who answers the requests that were let in: the model API, the demo, or each for some. */
export type Backend = {
  /** Owns the response from here on; must not throw. */
  answer: (call: Call) => void
  credentials: () => CredentialStatus[]
}

/** In the order of cockatiel's CircuitState; `isolated` is never used. */
export const breakerNames = ['closed', 'open', 'half-open', 'open'] as const
