import { errorTable } from '@aicm/protocol'
import type { TurnResult } from '../claude/output.ts'
import type { Input } from './input.ts'
import { emit, isReached, launch, setStatus, withdrawApprovals, type Work } from './work.ts'

/** How turns begin, and how they and sessions end. */

/** Gives the turn to the process, or again to a new one: claude knows a prompt by its id and never runs it twice. */
export const sendPrompt = (work: Work): void => {
  const { turn, parkedUntil } = work.state
  if (turn === null || parkedUntil !== undefined) return
  if (turn.guest === true && !work.context.servesGuests) return refuseGuest(work)
  if (turn.guest === true || work.state.guest !== undefined) work.state.guest = turn.guest === true
  turn.phase = 'sent'
  work.effects.push({ type: 'prompt', turnId: turn.id, promptId: turn.promptId })
}

/** The credentials are others than when it was accepted. */
const refuseGuest = (work: Work): void => {
  emit(work, {
    type: 'error',
    code: 'subscription_owner_only',
    message:
      "Only the subscription of the session's owner could pay for this, and it does for the owner's prompts alone.",
    hint: errorTable.subscription_owner_only.hint,
  })
  finish(work, { result: 'error', reason: 'subscription_owner_only' })
}

/** Takes the next prompt, when there is one and nothing runs. */
export const runNext = (work: Work): void => {
  const { state } = work
  // Whoever has a prompt already does not wait until claude has loaded.
  if (state.status === 'creating' && state.process === 'loading' && state.queue.length > 0) setStatus(work, 'idle')
  if (state.status !== 'idle' || state.turn !== null) return
  const id = state.queue.shift()
  if (id === undefined) return
  const guest = state.guests?.includes(id) === true
  state.guests &&= state.guests.filter((other) => other !== id)
  state.turn = { id, promptId: id, phase: 'waiting', interrupt: 'none', openTools: [], ...(guest && { guest }) }
  setStatus(work, 'running')
  if (isReached(state)) sendPrompt(work)
  else if (state.process === 'none') launch(work, 0)
}

export const finish = (
  work: Work,
  complete: { result: 'success' | 'error' | 'interrupted'; reason: string } & Partial<
    Omit<TurnResult, 'outcome' | 'totalCostUsd'>
  > & { costUsd?: number },
): void => {
  const { state } = work
  withdrawApprovals(work, 'The turn ended.')
  emit(work, { type: 'complete', ...complete })
  state.turns++
  state.failures = 0
  state.turn = null
  setStatus(work, 'idle')
  next(work)
}

/** Every accepted prompt gets its `complete`, also those that will not run any more. */
export const endTurns = (work: Work, result: 'interrupted' | 'error', reason: string): void => {
  const { state } = work
  for (const turnId of [...(state.turn === null ? [] : [state.turn.id]), ...state.queue])
    emit(work, { type: 'complete', result, reason }, turnId)
  state.turn = null
  state.queue = []
  delete state.guests
}

/** A turn is over: the next one, or the end of a session that was made for one prompt. */
export const next = (work: Work): void => {
  if (work.record.oneShot && work.state.queue.length === 0) close(work, 'its only prompt was answered')
  else runNext(work)
}

export const close = (work: Work, reason: string): void => {
  const { state } = work
  if (state.status === 'closed') return
  withdrawApprovals(work, 'The session was closed.')
  delete state.parkedUntil
  endTurns(work, 'interrupted', 'session_closed')
  setStatus(work, 'closed', reason)
  if (state.process !== 'none') {
    state.process = 'stopping'
    work.effects.push({ type: 'stop', generation: state.generation })
  }
}

const haltHints = {
  quota_exceeded:
    'Delete files, workspaces or sessions, or have an administrator raise your quota, and send the prompt again.',
  account_disabled: 'Have an administrator enable the account, and send the prompt again.',
}

/** What was asked for before ends too, and the process with it: a tool may have left something behind that works on. */
export const halt = (
  work: Work,
  { code, message }: Pick<Extract<Input, { type: 'halt' }>, 'code' | 'message'>,
): void => {
  const { state } = work
  if (state.turn !== null || state.queue.length > 0) {
    emit(work, { type: 'error', code, message, hint: haltHints[code] })
    withdrawApprovals(work, 'The turn ended.')
    delete state.parkedUntil
    endTurns(work, 'error', code)
    if (state.status === 'running') setStatus(work, 'idle')
    next(work)
  }
  // One that still loads, or is tried again, ends the next time.
  if (state.status !== 'idle' || !isReached(state)) return
  state.process = 'stopping'
  work.effects.push({ type: 'stop', generation: state.generation })
}
