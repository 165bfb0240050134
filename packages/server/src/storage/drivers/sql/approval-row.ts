import type { ApprovalMessage, ApprovalState } from '@aicm/protocol'
import type { ApprovalRecord } from '../../approval-store.ts'

export type ApprovalRow = {
  id: string
  session_id: string
  user_id: string
  turn_id: string | null
  tool: string
  tool_use_id: string
  /** JSON. */
  input: string
  can_remember: number
  state: ApprovalState
  created_at: number
}

/** The row of a log's `approval` message, in a session of this user. */
export const toApprovalRow = (session: { id: string; userId: string }, message: ApprovalMessage): ApprovalRow => ({
  id: message.approvalId,
  session_id: session.id,
  user_id: session.userId,
  turn_id: message.turnId ?? null,
  tool: message.tool,
  tool_use_id: message.toolUseId,
  input: JSON.stringify(message.input ?? null),
  can_remember: message.canRemember ? 1 : 0,
  state: message.state,
  created_at: Date.parse(message.time),
})

export const fromApprovalRow = (row: ApprovalRow): ApprovalRecord => ({
  id: row.id,
  sessionId: row.session_id,
  userId: row.user_id,
  turnId: row.turn_id,
  tool: row.tool,
  toolUseId: row.tool_use_id,
  input: JSON.parse(row.input),
  canRemember: row.can_remember === 1,
  state: row.state,
  createdAt: row.created_at,
})
