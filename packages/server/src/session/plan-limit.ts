import type { Input } from './input.ts'
import { sendPrompt } from './turns.ts'
import { emit, launch, setStatus, type Work } from './work.ts'

/**
 * The model API takes nothing more until a time that may be hours away. The turn is kept, and those behind it, and goes on by
 * itself then: claude, which gave up, is asked to go on. An interrupt ends the waiting.
 */

export const limited = ({ state }: Work, until: number): void => {
  if (state.turn !== null) state.turn.limitedUntil = until
}

/** The turn of a result that is no end of it. */
export const park = (work: Work, until: number): void => {
  const { state } = work
  if (state.turn === null) return
  delete state.turn.limitedUntil
  state.turn.phase = 'waiting'
  state.turn.promptId = work.context.newUuid()
  state.turn.openTools = []
  state.parkedUntil = until
  const time = new Date(until).toISOString()
  emit(work, {
    type: 'progress',
    kind: 'plan_limit',
    text: `The model API takes no more calls until ${time}. The turn waits until then and goes on by itself; interrupt it to stop waiting.`,
    data: { until: time },
  })
  work.effects.push({ type: 'wake', at: until })
}

/** A server that was not there at that time is told later; one that was told twice has forgotten the first. */
export const limitOver = (work: Work, { until }: Extract<Input, { type: 'limit.over' }>): void => {
  const { state } = work
  if (state.parkedUntil !== until) return
  delete state.parkedUntil
  if (state.turn?.phase !== 'waiting') return
  emit(work, {
    type: 'progress',
    kind: 'plan_limit_over',
    text: 'The limit of the model API is over; the turn goes on.',
  })
  if (state.process === 'none' && state.status === 'running') return launch(work, 0)
  if (state.process !== 'ready') return
  setStatus(work, 'running')
  sendPrompt(work)
}
