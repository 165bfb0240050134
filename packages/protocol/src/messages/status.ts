import { Type, type Static } from 'typebox'
import { message } from './base.ts'

export const SessionStatus = Type.Union([
  Type.Literal('creating'),
  Type.Literal('idle'),
  Type.Literal('running'),
  Type.Literal('error'),
  Type.Literal('recovering'),
  Type.Literal('closed'),
])
export type SessionStatus = Static<typeof SessionStatus>

/** The session's state changed. `reason` says why, where there is something to say. */
export const StatusMessage = message('status', {
  status: SessionStatus,
  reason: Type.Optional(Type.String()),
})
export type StatusMessage = Static<typeof StatusMessage>
