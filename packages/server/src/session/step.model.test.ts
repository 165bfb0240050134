import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newRecord } from '@aicm/testing/session-record'
import { AppError } from '../lib/app-error.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { Input } from './input.ts'
import { step } from './step.ts'

/** The design's diagram. */
const allowed: Record<string, string[]> = {
  creating: ['idle', 'error', 'closed'],
  idle: ['running', 'closed'],
  running: ['idle', 'error', 'closed'],
  error: ['recovering', 'closed'],
  recovering: ['idle', 'closed'],
  closed: [],
}

/** What may happen, with a number that picks among what there is to pick from. */
const happenings = {
  execute: (pick: number, { userId }: SessionRecord): Input => ({
    ...{ type: 'execute', turnId: `turn-${pick}`, content: [] },
    userId: pick % 2 === 0 ? userId : 'usr_guest',
  }),
  interrupt: (): Input => ({ type: 'interrupt' }),
  answer: (pick: number, { state }: SessionRecord): Input => ({
    type: 'answer',
    approvalId: state.approvals[pick % 3]?.approvalId ?? 'apr_none',
    decision: pick % 2 === 0 ? { decision: 'allow' } : { decision: 'deny' },
    userId: 'usr',
  }),
  update: (pick: number): Input => ({ type: 'update', model: `model-${pick % 3}` }),
  close: (): Input => ({ type: 'close', reason: 'asked to' }),
  ready: (_: number, { state }: SessionRecord) => said({ kind: 'ready' }, state.generation),
  conversation: (pick: number, { state }: SessionRecord) =>
    said({ kind: 'conversation', claudeSessionId: `c${pick % 2}` }, state.generation),
  started: (_: number, { state }: SessionRecord) =>
    said({ kind: 'prompt', turnId: state.turn?.promptId ?? 'none', state: 'started' }, state.generation),
  moved: (pick: number, { state }: SessionRecord) =>
    said(
      {
        kind: 'prompt',
        turnId: pick % 3 === 0 ? `turn-${pick}` : (state.turn?.promptId ?? 'none'),
        state: (['queued', 'completed', 'cancelled'] as const)[pick % 3] ?? 'queued',
      },
      state.generation,
    ),
  result: (pick: number, { state }: SessionRecord) =>
    said(
      {
        kind: 'result',
        result: {
          ...{
            outcome: (['success', 'error', 'interrupted'] as const)[pick % 3] ?? 'success',
            reason: 'r',
            totalCostUsd: pick / 100,
          },
          ...{ durationMs: 1, apiDurationMs: 1, numTurns: 1 },
          usage: { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0 },
        },
      },
      state.generation,
    ),
  toolUse: (pick: number, { state }: SessionRecord) =>
    said(
      {
        kind: 'message',
        draft: { type: 'tool_use', block: `b${pick}`, toolUseId: `t${pick % 4}`, name: 'Bash', input: {} },
      },
      state.generation,
    ),
  toolResult: (pick: number, { state }: SessionRecord) =>
    said(
      { kind: 'message', draft: { type: 'tool_result', toolUseId: `t${pick % 4}`, content: '', isError: false } },
      state.generation,
    ),
  asks: (pick: number, { state }: SessionRecord) =>
    said(
      {
        kind: 'permission',
        requestId: `r${pick}`,
        toolUseId: `t${pick % 4}`,
        tool: 'Bash',
        input: {},
        suggestions: [],
      },
      state.generation,
    ),
  withdraws: (pick: number, { state }: SessionRecord) =>
    said({ kind: 'permission-withdrawn', requestId: `r${pick}` }, state.generation),
  launched: (_: number, { state }: SessionRecord): Input => ({
    ...{ type: 'launched', generation: state.generation },
    settings: { model: null, permissionMode: 'default' },
  }),
  launchFailed: (_: number, { state }: SessionRecord): Input => ({
    type: 'launch.failed',
    generation: state.generation,
    message: 'no',
  }),
  exited: (pick: number, { state }: SessionRecord): Input => ({
    type: 'process.exited',
    generation: state.generation,
    exit: { code: pick % 3, signal: null },
    stderr: pick % 5 === 0 ? 'No conversation found' : '',
  }),
  startTimeout: (_: number, { state }: SessionRecord): Input => ({
    type: 'start.timeout',
    generation: state.generation,
    afterMs: 1000,
  }),
  found: (pick: number, { state }: SessionRecord): Input => ({
    type: 'found',
    generation: state.generation,
    openTools: [`t${pick % 4}`],
    repairs: [],
  }),
  waits: (_: number, { state }: SessionRecord): Input => ({
    type: 'launch.waiting',
    generation: state.generation,
    text: 'wait',
  }),
  silent: (_: number, { state }: SessionRecord): Input => ({
    type: 'turn.silent',
    generation: state.generation,
    turnId: state.turn?.id ?? 'none',
    forMs: 1000,
  }),
  halt: (): Input => ({ type: 'halt', code: 'quota_exceeded', message: 'too much' }),
  resultMissing: (_: number, { state }: SessionRecord): Input => ({
    type: 'result.missing',
    generation: state.generation,
    turnId: state.turn?.id ?? 'none',
  }),
  stopIgnored: (_: number, { state }: SessionRecord): Input => ({
    type: 'stop.ignored',
    generation: state.generation,
    afterMs: 1000,
  }),
  unresponsive: (pick: number, { state }: SessionRecord): Input => ({
    type: 'unresponsive',
    generation: state.generation,
    forMs: 1000,
    lost: pick % 2 === 0,
  }),
  hibernate: (_: number, { state }: SessionRecord): Input => ({ type: 'hibernate', generation: state.generation }),
  suspend: (_: number, { state }: SessionRecord): Input => ({ type: 'suspend', generation: state.generation }),
  limited: (pick: number, { state }: SessionRecord) => said({ kind: 'limited', until: pick }, state.generation),
  limitOver: (pick: number, { state }: SessionRecord): Input => ({
    type: 'limit.over',
    until: pick % 4 === 0 ? pick : (state.parkedUntil ?? pick),
  }),
  idle: (_: number, { state }: SessionRecord) => said({ kind: 'idle' }, state.generation),
  garbage: (_: number, { state }: SessionRecord) => said({ kind: 'garbage', lines: 9, bytes: 900 }, state.generation),
  adopted: (pick: number): Input => ({ type: 'adopted', alive: pick % 2 === 0 }),
}

type Said = Extract<Input, { type: 'output' }>['output']
function said(output: Said, generation: number): Input {
  return { type: 'output', generation, output }
}

const names = Object.keys(happenings) as (keyof typeof happenings)[]
const frequent: (keyof typeof happenings)[] = ['execute', 'launched', 'ready', 'started', 'result']
const history = fc.array(
  fc.record({
    name: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...frequent) },
      { weight: 2, arbitrary: fc.constantFrom(...names.filter((name) => name !== 'close')) },
    ),
    pick: fc.nat(30),
    // Something of a process that was replaced long ago.
    old: fc.boolean(),
  }),
  { maxLength: 80 },
)

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}

const run = (
  happened: { name: keyof typeof happenings; pick: number; old: boolean }[],
  oneShot: boolean,
  policy: 'auto' | 'ask' | 'never',
): void => {
  let ids = 0
  const context = {
    policy: { baseDelay: 1, maxDelay: 5, factor: 2, maxRetries: 2, continue: policy },
    random: () => 0,
    billed: true,
    get servesGuests() {
      return ids % 3 !== 0
    },
    newUuid: () => `uuid-${++ids}`,
    newApprovalId: () => `apr-${++ids}`,
  }
  const prompts: string[] = []
  const completes: string[] = []
  const approvals = new Map<string, string[]>()
  let record = deepFreeze(step(newRecord({}, { oneShot }), { type: 'start' }, context).record)
  let { status } = record.state

  const take = (input: Input): void => {
    const before = record
    let next
    try {
      next = step(before, input, context)
    } catch (error) {
      // A refusal, and nothing else.
      expect(error).toBeInstanceOf(AppError)
      expect(['execute', 'interrupt', 'answer']).toContain(input.type)
      return
    }
    if ('generation' in input && input.generation !== before.state.generation) {
      expect(next).toEqual({ record: before, events: [], effects: [] })
      return
    }
    record = deepFreeze(next.record)
    for (const { draft, turnId } of next.events) {
      if (status === 'closed') expect(draft).toBe('nothing after closed')
      if (draft.type === 'status') {
        expect(allowed[status], `${status} to ${draft.status} by ${input.type}`).toContain(draft.status)
        status = draft.status
      }
      if (draft.type === 'prompt') prompts.push(turnId ?? '')
      if (draft.type === 'complete') completes.push(turnId ?? '')
      if (draft.type === 'approval')
        approvals.set(draft.approvalId, [...(approvals.get(draft.approvalId) ?? []), draft.state])
    }
    const { state } = record
    expect(state.status).toBe(status)
    if (state.turn === null) expect(state.status).not.toBe('running')
    else expect(['running', 'recovering']).toContain(state.status)
    if (state.status === 'idle') expect(state.queue).toEqual([])
    // Each accepted prompt is answered, running or waiting: one of them.
    const open = [...(state.turn === null ? [] : [state.turn.id]), ...state.queue]
    expect([...completes, ...open].toSorted()).toEqual(prompts.toSorted())
    // Who waits for a limit to end is woken: by the timer of this step, or of the one that began to wait.
    if (state.parkedUntil !== undefined && state.parkedUntil !== before.state.parkedUntil)
      expect(next.effects).toContainEqual({ type: 'wake', at: state.parkedUntil })
    // All of an approval's life: asked, then answered or withdrawn, once.
    for (const states of approvals.values()) {
      expect(states[0]).toBe('pending')
      expect(states.length).toBeLessThanOrEqual(2)
      expect(states.slice(1)).not.toContain('pending')
    }
    for (const effect of next.effects) {
      if (effect.type === 'launch') {
        expect(effect.generation).toBe(before.state.generation + 1)
        expect(state).toMatchObject({ generation: effect.generation, process: 'starting' })
      }
      if (effect.type === 'wake') expect(effect.at).toBe(state.parkedUntil)
      if (effect.type === 'prompt') {
        expect(state.parkedUntil).toBeUndefined()
        expect(state.status).toBe('running')
        expect(['loading', 'ready']).toContain(state.process)
        expect(effect).toMatchObject({ turnId: state.turn?.id, promptId: state.turn?.promptId })
        expect(state.guest === true).toBe(state.turn?.guest === true)
      }
      if (effect.type === 'answer')
        expect(state.approvals.find(({ approvalId }) => approvalId === effect.approvalId)?.answer).not.toBeNull()
      if (before.state.status === 'closed') expect(effect.type).toBe('stop')
    }
    if (state.status === 'closed') {
      expect(open).toEqual([])
      expect([...approvals.values()].filter((states) => states.length === 1)).toEqual([])
      expect(['none', 'stopping']).toContain(state.process)
    }
  }

  for (const { name, pick, old } of happened) {
    // An id is used once in a session: the log sees to that.
    if (name === 'execute' && prompts.includes(`turn-${pick}`)) continue
    const input = happenings[name](pick, record)
    if (old && 'generation' in input && pick % 4 === 0) take({ ...input, generation: input.generation - 1 })
    else take(input)
  }
  take({ type: 'close', reason: 'the end' })
  expect(completes.toSorted()).toEqual(prompts.toSorted())
  for (const name of names) if (name !== 'execute') take(happenings[name](1, record))
}

test('whatever happens in whatever order, the session keeps to the diagram and answers every prompt once', () => {
  fc.assert(fc.property(history, fc.boolean(), fc.constantFrom('auto', 'ask', 'never'), run), { numRuns: 3000 })
})
