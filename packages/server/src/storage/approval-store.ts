import type { ApprovalState } from '@aicm/protocol'

export type ApprovalRecord = {
  id: string
  sessionId: string
  userId: string
  turnId: string | null
  tool: string
  toolUseId: string
  input: unknown
  canRemember: boolean
  state: ApprovalState
  createdAt: number
}

/** Approvals as EventStore.append has seen them: a view of the log's `approval` messages, written in their transaction. */
export type ApprovalStore = {
  get(id: string): Promise<ApprovalRecord | undefined>
  /** Oldest first. */
  listPending(filter: { userId: string; sessionId?: string }): Promise<ApprovalRecord[]>
}
