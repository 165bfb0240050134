import { Type, type Static } from 'typebox'
import { ErrorBody } from '../errors.ts'
import { Approval } from '../http/approvals.ts'
import { User } from '../http/users.ts'
import { HealthStatus } from '../http/health.ts'
import { Seq, SessionId, TurnId } from '../ids.ts'
import { CursorText, StreamItem } from '../stream.ts'

const ref = Type.String()

/** The first message of every connection. */
export const Hello = Type.Object({
  type: Type.Literal('hello'),
  protocol: Type.Integer(),
  version: Type.String(),
  user: User,
})
/** A batch of a session's stream, in order. */
export const Events = Type.Object({ type: Type.Literal('events'), sessionId: SessionId, items: Type.Array(StreamItem) })
/** The subscription stands; `lastSeq` is the newest durable message, so a client knows when it has caught up. */
export const Subscribed = Type.Object({ type: Type.Literal('subscribed'), ref, sessionId: SessionId, lastSeq: Seq })
/** The reader fell behind at `cursor`: what comes now is read from the log, without the live text it has missed. */
export const Behind = Type.Object({ type: Type.Literal('behind'), sessionId: SessionId, cursor: CursorText })
/** The subscription ended: by unsubscribe, or because the session was deleted. */
export const Unsubscribed = Type.Object({
  type: Type.Literal('unsubscribed'),
  ref: Type.Optional(ref),
  sessionId: SessionId,
})
/** The prompt is on disk. */
export const AcceptedDown = Type.Object({
  type: Type.Literal('accepted'),
  ref,
  sessionId: SessionId,
  turnId: TurnId,
  seq: Seq,
})
export const Interrupted = Type.Object({ type: Type.Literal('interrupted'), ref, sessionId: SessionId, turnId: TurnId })
export const Approved = Type.Object({ type: Type.Literal('approved'), ref, approval: Approval })
export const Pong = Type.Object({ type: Type.Literal('pong'), ref })
/** Of the server as a whole: with each change, and after `hello` when something is wrong. */
export const HealthDown = Type.Object({ type: Type.Literal('health'), ...HealthStatus.properties })
/** A refusal of the request with this `ref`; without one, of something that could not be read. */
export const Refused = Type.Object({
  type: Type.Literal('error'),
  ref: Type.Optional(ref),
  ...ErrorBody.properties,
})

/** What the server may send over the WebSocket. */
export const DownMessage = Type.Union([
  Hello,
  Events,
  Behind,
  Subscribed,
  Unsubscribed,
  AcceptedDown,
  Interrupted,
  Approved,
  Pong,
  HealthDown,
  Refused,
])
export type DownMessage = Static<typeof DownMessage>
