import { continueTool } from '@aicm/protocol'
import { finish, sendPrompt } from './turns.ts'
import { emit, isReached, policyOf, type Work } from './work.ts'

/**
 * A turn that claude will not finish by itself, because it was cut off after the model had answered. Nothing runs twice: it
 * goes on by a prompt of its own, in the same turn.
 */

export const continuationText =
  'The previous answer was cut off by a restart of the program. Go on from where it stopped. Do not repeat what was done already; if nothing is left to do, say so in one sentence.'

/** Whether the session itself waits for an answer. */
export const isAsking = ({ state }: Work): boolean =>
  state.approvals.some(({ requestId, answer }) => requestId === null && answer === null)

export const continueTurn = (work: Work): void => {
  const { turn } = work.state
  if (turn === null || isAsking(work)) return
  if (turn.interrupt !== 'none') return finish(work, { result: 'interrupted', reason: 'interrupted_before_start' })
  const policy = policyOf(work).continue
  if (policy === 'never') return endCutOff(work)
  if (policy === 'ask' || turn.openTools.length > 0) return ask(work)
  goOn(work)
}

const ask = (work: Work): void => {
  const { state, context } = work
  const inPart = (state.turn?.openTools.length ?? 0) > 0
  const approvalId = context.newApprovalId()
  const question = {
    approvalId,
    // No call of claude's: what is asked about such a call says whether it was allowed.
    toolUseId: approvalId,
    tool: continueTool,
    input: {
      question: inPart
        ? 'claude ended while a tool was running, or before it had written down what the tool did: it may have run in part, and was not run again. Look at what it did. Shall claude go on from there?'
        : 'The turn was cut off in the middle. Shall claude go on from there?',
    },
  }
  state.approvals.push({ ...question, requestId: null, suggestions: [], answer: null })
  emit(work, { type: 'approval', ...question, state: 'pending', canRemember: false })
}

export const goOn = (work: Work): void => {
  const { turn } = work.state
  if (turn === null) return
  turn.promptId = work.context.newUuid()
  turn.openTools = []
  emit(work, {
    type: 'progress',
    kind: 'continued',
    text: 'The turn was cut off in the middle; claude is asked to go on from there.',
  })
  if (isReached(work.state) && work.state.status === 'running') sendPrompt(work)
  else turn.phase = 'waiting'
}

export const endCutOff = (work: Work): void => {
  const inPart = (work.state.turn?.openTools.length ?? 0) > 0
  emit(work, {
    type: 'error',
    code: 'turn_cut_off',
    message: inPart
      ? 'claude ended while a tool was running: it may have run in part, and it was not run again.'
      : 'claude ended in the middle of the turn.',
    hint: 'Look at what it did, then send "continue".',
  })
  finish(work, { result: 'error', reason: 'turn_cut_off' })
}
