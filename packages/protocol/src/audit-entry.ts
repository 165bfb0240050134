import { Type, type Static } from 'typebox'
import { Seq, Time } from './ids.ts'

const nullable = <T extends ReturnType<typeof Type.String>>(type: T) => Type.Union([type, Type.Null()])
const text = nullable(Type.String())

export const AuditResult = Type.Union([Type.Literal('ok'), Type.Literal('refused'), Type.Literal('failed')])
export type AuditResult = Static<typeof AuditResult>

/** One act: who did what to what, from where, and what came of it. Null is what nobody knows. */
export const AuditEntry = Type.Object({
  seq: Seq,
  time: Time,
  userId: text,
  username: nullable(Type.String({ description: 'As it was then; of a log-in the name that was tried' })),
  action: Type.String({ description: 'sessions.create, auth.login, …' }),
  target: text,
  result: AuditResult,
  code: nullable(Type.String({ description: 'The error code of what was not done' })),
  address: text,
  requestId: text,
  credential: nullable(Type.String({ description: '`login`, or `api-key` and its prefix' })),
  detail: Type.Record(Type.String(), Type.Unknown()),
  hash: Type.String({ description: 'sha256 of the hash before it and of this entry: see docs/audit.md' }),
})
export type AuditEntry = Static<typeof AuditEntry>

/** Where a log ends. */
export const AuditHead = Type.Object({ seq: Seq, hash: Type.String() })
export type AuditHead = Static<typeof AuditHead>
