import { Type, type Static } from 'typebox'
import { strict } from '../http/common.ts'
import { ContentBlock } from '../content.ts'
import { Decision } from '../http/approvals.ts'
import { ApprovalId, SessionId, TurnId } from '../ids.ts'
import { CursorText, SlowPolicy } from '../stream.ts'

/** Chosen by the client; the server's answer carries it back. */
const ref = Type.String({ minLength: 1, maxLength: 64 })

/** Send me everything of this session after `after` (from its beginning when absent), then what comes. `slow` is `resume` when absent. */
export const Subscribe = strict({
  type: Type.Literal('subscribe'),
  ref,
  sessionId: SessionId,
  after: Type.Optional(CursorText),
  slow: Type.Optional(SlowPolicy),
})
export const Unsubscribe = strict({ type: Type.Literal('unsubscribe'), ref, sessionId: SessionId })
export const ExecuteUp = strict({
  type: Type.Literal('execute'),
  ref,
  sessionId: SessionId,
  prompt: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000_000 })),
  content: Type.Optional(Type.Array(ContentBlock, { minItems: 1, maxItems: 100 })),
  id: Type.Optional(TurnId),
})
export const Interrupt = strict({ type: Type.Literal('interrupt'), ref, sessionId: SessionId })
export const Approve = strict({ type: Type.Literal('approve'), ref, approvalId: ApprovalId, decision: Decision })
export const Ping = strict({ type: Type.Literal('ping'), ref })

/** What a client may send over the WebSocket. */
export const UpMessage = Type.Union([Subscribe, Unsubscribe, ExecuteUp, Interrupt, Approve, Ping])
export type UpMessage = Static<typeof UpMessage>
