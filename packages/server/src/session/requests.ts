import { AppError } from '../lib/app-error.ts'
import type { Input } from './input.ts'
import { endCutOff, goOn, isAsking } from './cut-off.ts'
import { finish, next, runNext } from './turns.ts'
import { emit, isReached, launch, setStatus, type Work } from './work.ts'

/** What clients ask of a session. A refusal throws, and nothing has changed then. */

/** Prompts that may wait behind the running one. */
const maxQueued = 200

export const start = (work: Work): void => launch(work, 0)

export const execute = (work: Work, input: Extract<Input, { type: 'execute' }>): void => {
  const { state } = work
  if (state.status === 'closed') throw new AppError('session_closed', 'This session is closed.')
  if (state.queue.length >= maxQueued)
    throw new AppError('queue_full', `${maxQueued} prompts are waiting already.`, { retryAfter: 5 })
  const guest = input.userId !== work.record.userId
  if (guest && !work.context.servesGuests)
    throw new AppError(
      'subscription_owner_only',
      "This session runs on its owner's subscription, which serves nobody else's prompts.",
    )
  emit(work, { type: 'prompt', content: input.content, userId: input.userId }, input.turnId)
  state.queue.push(input.turnId)
  if (guest) state.guests = [...(state.guests ?? []), input.turnId]
  runNext(work)
}

export const interrupt = (work: Work): void => {
  const { state } = work
  const { turn } = state
  if (turn === null) throw new AppError('no_turn_running', 'No turn is running.')
  // claude does nothing then: the session itself waits for an answer.
  if (isAsking(work)) return finish(work, { result: 'interrupted', reason: 'turn_cut_off' })
  if (turn.phase === 'waiting' || state.process === 'loading') return dropTurn(work)
  if (turn.phase === 'sent') {
    // An interrupt that comes before the turn has started does nothing: it is sent when claude says "started".
    turn.interrupt = 'wanted'
    return
  }
  turn.interrupt = 'sent'
  work.effects.push({ type: 'interrupt' })
}

/** claude has not seen it: there is nobody to ask. What comes behind it is tried at once. */
const dropTurn = (work: Work): void => {
  const { state } = work
  // It would read the prompt once it has loaded, if it ever does: another one starts without it.
  if (state.turn?.phase === 'sent') {
    state.process = 'stopping'
    state.muted = true
    work.effects.push({ type: 'stop', generation: state.generation })
  }
  delete state.parkedUntil
  emit(work, { type: 'complete', result: 'interrupted', reason: 'interrupted_before_start' })
  state.turn = null
  if (state.status === 'running') setStatus(work, 'idle')
  next(work)
}

export const answer = (work: Work, { approvalId, decision, userId }: Extract<Input, { type: 'answer' }>): void => {
  const approval = work.state.approvals.find((open) => open.approvalId === approvalId)
  if (approval === undefined || approval.answer !== null)
    throw new AppError('approval_already_answered', 'This permission request was answered or withdrawn before.')
  const allowed = decision.decision === 'allow'
  const input = allowed ? (decision.updatedInput ?? approval.input) : approval.input
  const remembered = allowed && decision.remember === true && approval.suggestions.length > 0
  approval.answer = allowed
    ? { behavior: 'allow', updatedInput: input, ...(remembered ? { updatedPermissions: approval.suggestions } : {}) }
    : { behavior: 'deny', message: decision.message ?? 'The user denied this.' }
  emit(work, {
    type: 'approval',
    approvalId,
    state: allowed ? 'allowed' : 'denied',
    toolUseId: approval.toolUseId,
    tool: approval.tool,
    input,
    canRemember: false,
    decidedBy: userId,
    message: decision.message,
  })
  if (approval.requestId !== null) return void work.effects.push({ type: 'answer', approvalId })
  work.state.approvals = work.state.approvals.filter((open) => open !== approval)
  if (allowed) goOn(work)
  else endCutOff(work)
}

export const update = (work: Work, changes: Extract<Input, { type: 'update' }>): void => {
  const { record, state } = work
  record.name = changes.name ?? record.name
  if (changes.model !== undefined && changes.model !== record.model) {
    record.model = changes.model
    if (isReached(state)) work.effects.push({ type: 'set-model', model: changes.model })
  }
  if (changes.permissionMode !== undefined && changes.permissionMode !== record.permissionMode) {
    record.permissionMode = changes.permissionMode
    if (isReached(state)) work.effects.push({ type: 'set-permission-mode', mode: changes.permissionMode })
  }
}
