import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { circuitBreaker, ConsecutiveBreaker, handleAll, type CircuitBreakerPolicy } from 'cockatiel'
import { breakerNames } from '../backend.ts'
import type { Credential } from '../config.ts'
import type { CredentialState, CredentialStatus } from '../status.ts'
import { createFairQueue, type FairQueue } from './fair-queue.ts'
import type { CredentialSource } from './source.ts'

/** Failures in a row, after which the upstream is left alone, and for how long. */
export const breakerSettings = { failures: 10, openMs: 10_000 }
/** Idle connections are dropped before the other side's usual limit, so that no request is written into a closing one. */
const agentOptions = { keepAlive: true, timeout: 30_000, scheduling: 'lifo' } as const
const defaultRoom = 64
const mostWaiting = 512
/** A credential that was refused is tried again after a while: it may have been unlocked. */
const authRestMs = 60_000
/** No upstream is believed that asks to be left alone for longer: a week's plan limit, and a day. */
const longestRestMs = 8 * 86_400_000

/** Why a credential is not used at the moment, and until when (milliseconds since 1970). */
export type Block = {
  state: Exclude<CredentialState, 'ready'>
  until: number
  /** What the upstream said about its limits when it refused: claude understands it. */
  headers: Record<string, string>
}

/** One credential at work: its upstream, its connections, and what is known of how it fares. */
export type Lane = {
  credential: Credential
  /** Host of the upstream, for people. */
  host: string
  secure: boolean
  send: typeof httpRequest
  agent: HttpAgent
  source: CredentialSource
  circuit: CircuitBreakerPolicy
  queue: FairQueue
  /** Whether it is left alone; what the breaker says is found out by asking it. */
  block(now: number): Block | undefined
  /** The upstream wants to be left alone until then. */
  rest(untilMs: number, headers: Record<string, string>): void
  authFailed(): void
  succeeded(): void
  status(): CredentialStatus
}

export const createLane = (credential: Credential, source: CredentialSource): Lane => {
  const { host, protocol } = new URL(credential.upstream)
  const secure = protocol === 'https:'
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
  const circuit = circuitBreaker(handleAll, {
    halfOpenAfter: breakerSettings.openMs,
    breaker: new ConsecutiveBreaker(breakerSettings.failures),
  })
  const queue = createFairQueue({ room: credential.maxConcurrent ?? defaultRoom, mostWaiting })
  let resting: { until: number; headers: Record<string, string> } | undefined
  let refusedUntil = 0
  /** Stays until a call succeeds: that it is tried again now and then does not make it good. */
  let refused = false
  let lastUsed: number | undefined

  const block: Lane['block'] = (now) => {
    if (refusedUntil > now) return { state: 'auth_required', until: refusedUntil, headers: {} }
    return resting !== undefined && resting.until > now ? { state: 'resting', ...resting } : undefined
  }

  return {
    credential,
    host,
    secure,
    send: secure ? httpsRequest : httpRequest,
    agent,
    source,
    circuit,
    queue,
    block,
    rest: (untilMs, headers) => {
      const until = Math.min(untilMs, Date.now() + longestRestMs)
      if (until > (resting?.until ?? 0)) resting = { until, headers }
    },
    authFailed: () => {
      refused = true
      refusedUntil = Date.now() + authRestMs
    },
    succeeded: () => {
      refused = false
      refusedUntil = 0
      resting = undefined
      lastUsed = Date.now()
    },
    status: () => {
      const blocked = block(Date.now())
      const breaker = breakerNames[circuit.state]
      return {
        id: credential.id,
        userId: credential.userId,
        kind: credential.kind,
        upstream: credential.upstream,
        state: refused ? 'auth_required' : (blocked?.state ?? (breaker === 'closed' ? 'ready' : 'failing')),
        until: blocked === undefined ? null : new Date(blocked.until).toISOString(),
        breaker,
        active: queue.active(),
        waiting: queue.waiting(),
        lastUsedAt: lastUsed === undefined ? null : new Date(lastUsed).toISOString(),
      }
    },
  }
}
