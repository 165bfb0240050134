import type { CredentialKind } from './config.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** Where a credential stands. `auth_required`: it was refused, and refreshing it did not help. */
export type CredentialState = 'ready' | 'resting' | 'auth_required' | 'failing'

export type CredentialStatus = {
  id: string
  userId: string | null
  kind: CredentialKind
  upstream: string
  state: CredentialState
  /** When it is tried again; ISO 8601. */
  until: string | null
  breaker: BreakerState
  /** Calls under way, and calls that wait for one of them to end. */
  active: number
  waiting: number
  /** ISO 8601. */
  lastUsedAt: string | null
}

/** `seq` counts the changes of all credentials since the start of the broker, from 1. */
export type BreakerChange = { seq: number; credentialId: string; state: BreakerState }

export type BrokerStatus = {
  pid: number
  /** ISO 8601. */
  startedAt: string
  version: string
  /** null until it has been configured. */
  mode: 'live' | 'demo' | null
  credentials: CredentialStatus[]
  /** The newest changes of their circuit breakers, the oldest first. */
  breakerChanges: BreakerChange[]
  activeRequests: number
  /** Answers that are being given, and how much of each has been sent: who asks twice sees which of them go on. */
  answering: { sessionId: string; sentBytes: number }[]
  /** The newest entry of the ledger, and why it cannot be written. */
  ledger: { id: string; lastSeq: number; error: string | null }
  /** Ids of credentials whose tokens were renewed, and lie sealed in the broker's folder. */
  renewed: string[]
}
