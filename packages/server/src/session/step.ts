import { unreachable } from '../lib/unreachable.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { Effect, Input } from './input.ts'
import {
  adopted,
  exited,
  found,
  hibernate,
  launched,
  launchFailed,
  launchWaits,
  startTimedOut,
  stopIgnored,
  suspend,
  turnSilent,
  unresponsive,
} from './lifecycle.ts'
import { output, resultMissing } from './outputs.ts'
import { limitOver } from './plan-limit.ts'
import { answer, execute, interrupt, start, update } from './requests.ts'
import { close, halt } from './turns.ts'
import type { DraftEvent, StepContext, Work } from './work.ts'

export type Step = { record: SessionRecord; events: DraftEvent[]; effects: Effect[] }

/**
 * The session's state machine: what a session becomes by an input, what is told of it and what is to be done. Pure: the
 * session given is left as it is. Throws AppError when a request is refused. Inputs of an older process than the newest
 * change nothing.
 */
export const step = (record: SessionRecord, input: Input, context: StepContext): Step => {
  const copy = copyOf(record)
  const work: Work = {
    record: copy,
    state: copy.state,
    events: [],
    effects: [],
    context,
  }
  if (!('generation' in input) || input.generation === record.state.generation) apply(work, input)
  return { record: work.record, events: work.events, effects: work.effects }
}

/** Deep as far as the rules change it; messages' contents are never changed in place. */
const copyOf = (record: SessionRecord): SessionRecord => {
  const { state } = record
  return {
    ...record,
    state: {
      ...state,
      turn: state.turn === null ? null : { ...state.turn, openTools: [...state.turn.openTools] },
      queue: [...state.queue],
      approvals: state.approvals.map((approval) => ({ ...approval })),
    },
  }
}

const apply = (work: Work, input: Input): void => {
  switch (input.type) {
    case 'start':
      return start(work)
    case 'execute':
      return execute(work, input)
    case 'interrupt':
      return interrupt(work)
    case 'answer':
      return answer(work, input)
    case 'update':
      return update(work, input)
    case 'close':
      return close(work, input.reason)
    case 'output':
      return work.state.status === 'closed' ? undefined : output(work, input)
    case 'launched':
      return launched(work, input)
    case 'launch.failed':
      return launchFailed(work, input)
    case 'found':
      return found(work, input)
    case 'launch.waiting':
      return launchWaits(work, input.text)
    case 'limit.over':
      return limitOver(work, input)
    case 'halt':
      return halt(work, input)
    case 'turn.silent':
      return turnSilent(work, input)
    case 'result.missing':
      return resultMissing(work, input.turnId)
    case 'stop.ignored':
      return stopIgnored(work, input.afterMs)
    case 'suspend':
      return suspend(work)
    case 'unresponsive':
      return unresponsive(work, input)
    case 'hibernate':
      return hibernate(work)
    case 'start.timeout':
      return startTimedOut(work, input)
    case 'process.exited':
      return exited(work, input)
    case 'adopted':
      return adopted(work, input.alive)
    default:
      return unreachable(input)
  }
}
