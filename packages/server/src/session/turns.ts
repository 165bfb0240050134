import type { TurnResult } from '../claude/output.ts'
import { emit, runNext, setStatus, withdrawApprovals, type Work } from './work.ts'

/** How turns and sessions end. */

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
