import type { Message } from '@aicm/protocol'
import type { ApprovalRecord } from './approval-store.ts'
import type { SessionRecord } from './session-store.ts'

/** What an append's events say of approvals, each as it is after the message. */
export const approvalsIn = ({ id, userId }: SessionRecord, events: Message[]): ApprovalRecord[] =>
  events
    .filter((event) => event.type === 'approval')
    .map((event) => ({
      id: event.approvalId,
      sessionId: id,
      userId,
      turnId: event.turnId ?? null,
      tool: event.tool,
      toolUseId: event.toolUseId,
      input: event.input ?? null,
      canRemember: event.canRemember,
      state: event.state,
      createdAt: Date.parse(event.time),
    }))
