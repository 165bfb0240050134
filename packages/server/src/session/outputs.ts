import type { AgentOutput, TurnResult } from '../claude/output.ts'
import { unreachable } from '../lib/unreachable.ts'
import type { Input } from './input.ts'
import { continueTurn, isAsking } from './cut-off.ts'
import { limited, park } from './plan-limit.ts'
import { finish, runNext, sendPrompt } from './turns.ts'
import { emit, endProcess, policyOf, setStatus, withdrawApprovals, type Work } from './work.ts'

/** What claude says, as it changes a session. */

export const output = (work: Work, { output: said }: Extract<Input, { type: 'output' }>): void => {
  const { state } = work
  // Of a prompt that was taken back.
  if (state.muted === true && said.kind !== 'conversation') return
  switch (said.kind) {
    case 'ready':
      return ready(work)
    case 'conversation':
      return conversation(work, said)
    case 'prompt':
      return promptMoved(work, said)
    case 'pong':
      return
    case 'garbage':
      return endProcess(work, {
        code: 'protocol_garbage',
        message: `claude said ${said.lines} lines (${said.bytes} bytes) in a row that are no messages, and was ended.`,
      })
    case 'limited':
      return limited(work, said.until)
    case 'idle':
      return saidIdle(work)
    case 'message':
      if (said.draft.type === 'tool_use' && said.draft.partial !== true)
        state.turn?.openTools.push(said.draft.toolUseId)
      if (said.draft.type === 'tool_result') toolFinished(work, said.draft.toolUseId)
      return emit(work, said.draft)
    case 'permission':
      return permission(work, said)
    case 'permission-withdrawn': {
      const open = state.approvals.filter((approval) => approval.requestId === said.requestId)
      const others = state.approvals.filter((approval) => approval.requestId !== said.requestId)
      state.approvals = open
      withdrawApprovals(work, 'claude no longer asks.')
      state.approvals = others
      return
    }
    case 'unsupported-request':
      emit(work, { type: 'system', subtype: 'unsupported_request', data: { request: said.subtype } })
      work.effects.push({ type: 'refuse', requestId: said.requestId, subtype: said.subtype })
      return
    case 'result':
      return ended(work, said.result)
    default:
      return unreachable(said)
  }
}

/** The result comes before this. Where it does not, it is waited for a while: a turn must not run for ever. */
const saidIdle = (work: Work): void => {
  const { turn, generation } = work.state
  if (turn?.phase === 'started') work.effects.push({ type: 'watch-result', generation, turnId: turn.id })
}

export const resultMissing = (work: Work, turnId: string): void => {
  const { turn } = work.state
  if (turn?.id !== turnId || turn.phase !== 'started' || isAsking(work)) return
  emit(work, {
    type: 'progress',
    kind: 'result_missing',
    text: 'claude is idle again and did not say how the turn ended.',
  })
  if (turn.interrupt !== 'none') return finish(work, { result: 'interrupted', reason: 'result_missing' })
  if (turn.openTools.length > 0) return continueTurn(work)
  finish(work, { result: 'success', reason: 'result_missing' })
}

const ready = (work: Work): void => {
  const { state } = work
  if (state.process !== 'starting' && state.process !== 'loading') return
  state.process = 'ready'
  if (state.status === 'creating' || state.status === 'recovering') setStatus(work, 'idle')
  if (state.turn === null) {
    state.failures = 0
    runNext(work)
  } else {
    setStatus(work, 'running')
    if (state.turn.phase === 'waiting') sendPrompt(work)
  }
}

const conversation = (work: Work, said: Extract<AgentOutput, { kind: 'conversation' }>): void => {
  const { state } = work
  state.claudeSessionId = said.claudeSessionId
  state.resumable = true
  const { kind: _, claudeSessionId: __, ...metadata } = said
  const announced = JSON.stringify({ ...metadata, generation: state.generation })
  if (announced === state.announced) return
  state.announced = announced
  emit(work, { type: 'metadata', ...metadata, generation: state.generation })
}

const promptMoved = (
  work: Work,
  { turnId: promptId, state: moved }: Extract<AgentOutput, { kind: 'prompt' }>,
): void => {
  const { turn } = work.state
  if (turn === null || turn.promptId !== promptId || turn.phase === 'waiting') return
  // Given to it before it had loaded.
  ready(work)
  if (moved === 'started') {
    work.state.resumable = true
    turn.phase = 'started'
    // It begins anew: what an earlier process had asked for is not open any more.
    turn.openTools = []
    if (turn.interrupt === 'wanted') {
      turn.interrupt = 'sent'
      work.effects.push({ type: 'interrupt' })
    }
  }
  // A result always comes first. Without one, claude knows the prompt from before a crash: it was cut off in the middle.
  if (moved === 'completed') continueTurn(work)
  if (moved === 'cancelled') finish(work, { result: 'interrupted', reason: 'cancelled' })
}

const toolFinished = (work: Work, toolUseId: string): void => {
  const { state } = work
  if (state.turn !== null) state.turn.openTools = state.turn.openTools.filter((id) => id !== toolUseId)
  state.approvals = state.approvals.filter((approval) => approval.answer === null || approval.toolUseId !== toolUseId)
}

const permission = (work: Work, said: Extract<AgentOutput, { kind: 'permission' }>): void => {
  const { kind: _, ...request } = said
  const approvalId = work.context.newApprovalId()
  work.state.approvals.push({ ...request, approvalId, answer: null })
  emit(work, {
    type: 'approval',
    approvalId,
    state: 'pending',
    toolUseId: said.toolUseId,
    tool: said.tool,
    input: said.input,
    canRemember: said.suggestions.length > 0,
  })
}

const ended = (work: Work, result: TurnResult): void => {
  const { state } = work
  const costUsd = work.context.billed ? Math.max(0, result.totalCostUsd - state.processCostUsd) : 0
  state.processCostUsd = Math.max(state.processCostUsd, result.totalCostUsd)
  // claude also reports on what it did by itself, between turns, and on a conversation that it did not find.
  if (state.turn === null || state.turn.phase === 'waiting' || state.process === 'loading')
    return emit(work, { type: 'system', subtype: 'result', data: { reason: result.reason, text: result.text } })
  state.costUsd += costUsd
  state.usage = {
    inputTokens: state.usage.inputTokens + result.usage.inputTokens,
    outputTokens: state.usage.outputTokens + result.usage.outputTokens,
    cacheReadTokens: state.usage.cacheReadTokens + result.usage.cacheReadTokens,
    cacheWriteTokens: state.usage.cacheWriteTokens + result.usage.cacheWriteTokens,
  }
  const { limitedUntil, interrupt } = state.turn
  const goesOn = interrupt === 'none' && policyOf(work).continue !== 'never'
  if (result.outcome === 'error' && limitedUntil !== undefined && goesOn) return park(work, limitedUntil)
  const { outcome, totalCostUsd: _, ...rest } = result
  finish(work, { ...rest, result: outcome, ...(work.context.billed ? { costUsd } : {}) })
}
