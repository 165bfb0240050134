import {
  formatAuditHead,
  type AuditAction,
  type AuditEntry,
  type AuditHead,
  type AuditResult,
  type ErrorCode,
} from '@aicm/protocol'
import { isoTime } from '../lib/clock.ts'

/** What whoever did it, or refused it, says of an act. What is left out is not known, or does not apply. */
export type Act = {
  action: AuditAction
  /** `ok` when left out. */
  result?: AuditResult
  code?: ErrorCode
  userId?: string
  username?: string
  target?: string
  address?: string
  requestId?: string
  credential?: string
  /** Small. Never what somebody wrote to a model, a password, a token or a key. */
  detail?: Record<string, unknown>
}

/** An entry that has no place in the chain yet. */
export type Draft = Omit<AuditEntry, 'seq' | 'hash'>

const maxText = 200
const maxDetail = 8192

/** Names come from outside: what a store could not give back exactly would break the chain. */
const short = (text: string | undefined): string | null =>
  text === undefined
    ? null
    : text
        .replaceAll(/\p{Cc}/gu, ' ')
        .toWellFormed()
        .slice(0, maxText)
        .toWellFormed()

const small = (detail: Record<string, unknown> = {}): AuditEntry['detail'] => {
  const json = JSON.stringify(detail)
  return json.length > maxDetail ? { omitted: json.length } : JSON.parse(json)
}

export const draftOf = (act: Act, now: number): Draft => ({
  time: isoTime(now),
  userId: short(act.userId),
  username: short(act.username),
  action: act.action,
  target: short(act.target),
  result: act.result ?? 'ok',
  code: act.code ?? null,
  address: short(act.address),
  requestId: short(act.requestId),
  credential: short(act.credential),
  detail: small(act.detail),
})

/** The log does not hold what it held: somebody else has cut it, or has written to it. */
export const gapOf = (expected: AuditHead, found: AuditHead): Act => ({
  action: 'audit.gap',
  result: 'failed',
  detail: { expected: formatAuditHead(expected), found: formatAuditHead(found) },
})
