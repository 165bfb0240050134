import type { FailureCode, SessionStatus } from '@aicm/protocol'
import type { Draft } from '../claude/output.ts'
import type { OpenApproval, SessionRecord, SessionState } from '../storage/session-store.ts'
import type { Effect } from './input.ts'
import type { RecoveryPolicy } from './recovery.ts'

export type DraftEvent = { draft: Draft; turnId?: string }

/** What the rules need of the world. */
export type StepContext = {
  policy: RecoveryPolicy
  /** From 0 to 1. */
  random: () => number
  /** False where the API is a script: claude computes a cost all the same, and it would be an invented figure. */
  billed: boolean
  /** Whether there is anything but its owner's subscription to pay for what somebody else prompts. */
  servesGuests: boolean
  newUuid: () => string
  newApprovalId: () => string
}

/** A step in the making: a copy of the session that the step's rules change, and what they want told and done. */
export type Work = {
  record: SessionRecord
  state: SessionState
  events: DraftEvent[]
  effects: Effect[]
  context: StepContext
}

export const emit = (work: Work, draft: Draft, turnId: string | undefined = work.state.turn?.id): void => {
  work.events.push({ draft, turnId })
}

export const setStatus = (work: Work, status: SessionStatus, reason?: string): void => {
  if (work.state.status === status) return
  work.state.status = status
  work.state.reason =
    status === 'error' || status === 'recovering' || status === 'closed' ? (reason ?? work.state.reason) : null
  emit(work, { type: 'status', status, reason: reason ?? undefined })
}

/** Starts the next process. Its generation is fixed here, so whatever still comes of the last one is known as old. */
export const launch = (work: Work, delayMs: number): void => {
  work.state.generation++
  work.state.process = 'starting'
  if (work.state.turn !== null) work.state.turn.phase = 'waiting'
  work.state.processCostUsd = 0
  delete work.state.ending
  delete work.state.muted
  work.effects.push({ type: 'launch', generation: work.state.generation, delayMs })
}

/** Ends a process for a failure of its own: its end is then handled as this failure. */
export const endProcess = (work: Work, ending: { code: FailureCode; message: string }): void => {
  const { state } = work
  if (state.ending !== undefined || state.process === 'none') return
  state.ending = ending
  work.effects.push({ type: 'stop', generation: state.generation })
}

/** Whether what is written to its process reaches claude, now or when it has loaded. */
export const isReached = ({ process }: SessionState): boolean => process === 'loading' || process === 'ready'

/** The session's own settings over the server's. */
export const policyOf = ({ context, state }: Work): RecoveryPolicy => ({ ...context.policy, ...state.recovery })

/** What a process had asked is void with it. With `claude` what the session itself asks stays. */
export const withdrawApprovals = (work: Work, message: string, whose: 'all' | 'claude' = 'all'): void => {
  const isGone = ({ requestId }: OpenApproval): boolean => whose === 'all' || requestId !== null
  for (const approval of work.state.approvals.filter(isGone))
    if (approval.answer === null)
      emit(work, {
        type: 'approval',
        approvalId: approval.approvalId,
        state: 'withdrawn',
        toolUseId: approval.toolUseId,
        tool: approval.tool,
        input: approval.input,
        canRemember: false,
        message,
      })
  work.state.approvals = work.state.approvals.filter((approval) => !isGone(approval))
}
