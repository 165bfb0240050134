import { expect, test } from 'vitest'
import { newRecord } from '@aicm/testing/session-record'
import type { TurnResult } from '../claude/output.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { Effect, Input } from './input.ts'
import { step } from './step.ts'
import type { DraftEvent } from './work.ts'

const policy = { baseDelay: 10, maxDelay: 25, factor: 2, maxRetries: 2, continue: 'auto' as const }

/** A session that is fed inputs, and remembers what it told and wanted. */
const machine = (record: SessionRecord = newRecord()) => {
  let uuids = 0
  const context = {
    policy,
    billed: true,
    servesGuests: true,
    random: () => 0,
    newUuid: () => `uuid-${++uuids}`,
    newApprovalId: () => `apr_${++uuids}`,
  }
  const m = {
    record,
    context,
    events: [] as DraftEvent[],
    effects: [] as Effect[],
    feed: (...inputs: Input[]) => {
      m.events = []
      m.effects = []
      for (const input of inputs) {
        const next = step(m.record, input, context)
        m.record = next.record
        m.events.push(...next.events)
        m.effects.push(...next.effects)
      }
      return m
    },
    get state() {
      return m.record.state
    },
    get statuses() {
      return m.events.flatMap(({ draft }) => (draft.type === 'status' ? [draft.status] : []))
    },
    get completes() {
      return m.events.flatMap(({ draft, turnId }) =>
        draft.type === 'complete' ? [`${turnId} ${draft.result} ${draft.reason}`] : [],
      )
    },
  }
  return m
}

const execute = (turnId: string): Input => ({
  type: 'execute',
  turnId,
  content: [{ type: 'text', text: turnId }],
  userId: 'usr',
})
type Said = Extract<Input, { type: 'output' }>['output']
const says = (output: Said, generation = 1): Input => ({ type: 'output', generation, output })
const ready = (generation = 1) => says({ kind: 'ready' }, generation)
const moved = (turnId: string, state: 'queued' | 'started' | 'completed' | 'cancelled', generation = 1) =>
  says({ kind: 'prompt', turnId, state }, generation)
const result = (changes: Partial<TurnResult> = {}, generation = 1) =>
  says(
    {
      kind: 'result',
      result: {
        ...{
          outcome: 'success',
          reason: 'completed',
          text: 'done',
          totalCostUsd: 0,
          durationMs: 1,
          apiDurationMs: 1,
          numTurns: 1,
        },
        usage: { inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4 },
        ...changes,
      },
    },
    generation,
  )
const toolUse = (toolUseId: string, generation = 1) =>
  says(
    { kind: 'message', draft: { type: 'tool_use', block: toolUseId, toolUseId, name: 'Bash', input: {} } },
    generation,
  )
const toolResult = (toolUseId: string, generation = 1) =>
  says({ kind: 'message', draft: { type: 'tool_result', toolUseId, content: '', isError: false } }, generation)
const asks = (requestId: string, generation = 1, suggestions: unknown[] = []) =>
  says(
    {
      kind: 'permission',
      requestId,
      toolUseId: `tool-${requestId}`,
      tool: 'Bash',
      input: { command: 'ls' },
      suggestions,
    },
    generation,
  )
const crash = (generation = 1, stderr = ''): Input => ({
  type: 'process.exited',
  generation,
  exit: { code: 137, signal: 'SIGKILL' },
  stderr,
})

const bob = (turnId: string): Input => ({ type: 'execute', turnId, content: [], userId: 'usr_of_bob' })

test("a guest's prompt is refused where only the owner's subscription would pay for it, and the owner's is not", () => {
  const session = idle()
  const owner = { ...bob('mine'), userId: session.record.userId } as Input
  session.context.servesGuests = false
  expect(() => session.feed(bob('a'))).toThrow(expect.objectContaining({ code: 'subscription_owner_only' }))
  expect(session.feed(owner).effects).toEqual([{ type: 'prompt', turnId: 'mine', promptId: 'mine' }])
  expect(session.state.guest).toBeUndefined()
})

test("a guest's prompt that waits ends when it would be given, where nothing else pays any more, and the next is given", () => {
  const session = idle()
  const owner = (turnId: string) => ({ ...bob(turnId), userId: session.record.userId }) as Input
  session.feed(owner('first'), moved('first', 'started'), bob('a'), bob('b'), owner('last'))
  session.context.servesGuests = false
  expect(session.feed(result()).completes).toEqual([
    'first success completed',
    'a error subscription_owner_only',
    'b error subscription_owner_only',
  ])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'last', promptId: 'last' }])
  expect(session.events.filter(({ draft }) => draft.type === 'error')).toMatchObject([
    { turnId: 'a', draft: { code: 'subscription_owner_only' } },
    { turnId: 'b' },
  ])
  expect(session.state.guests).toEqual([])
})

test("a guest's turn that a crash has cut off does not go on at the expense of a subscription", () => {
  const session = idle().feed(bob('a'), moved('a', 'started'), crash())
  session.context.servesGuests = false
  expect(session.feed(ready(2)).completes).toEqual(['a error subscription_owner_only'])
  expect(session.effects).toEqual([])
})

test("a session is its guest's from the prompt that is given until the owner prompts again", () => {
  const session = idle()
  const owner = { ...bob('mine'), userId: session.record.userId } as Input
  expect(session.feed(bob('a')).state).toMatchObject({ guest: true })
  expect(session.feed(moved('a', 'started'), result()).state).toMatchObject({ turn: null, guest: true })
  expect(session.feed(owner).state).toMatchObject({ guest: false })
})

const idle = () => machine().feed({ type: 'start' }, ready())
const running = () => idle().feed(execute('a'), moved('a', 'started'))

test('a new session is creating until its process is ready, then idle', () => {
  const session = machine().feed({ type: 'start' })
  expect(session.effects).toEqual([{ type: 'launch', generation: 1, delayMs: 0 }])
  expect(session.state).toMatchObject({ status: 'creating', process: 'starting', generation: 1 })
  expect(session.feed(ready()).statuses).toEqual(['idle'])
  expect(session.state.process).toBe('ready')
})

const launched = (generation = 1): Input => ({
  ...{ type: 'launched', generation },
  settings: { model: null, permissionMode: 'default' },
})

test('without a prompt claude is asked to say when it has loaded', () => {
  const session = machine().feed({ type: 'start' }).feed(launched())
  expect(session.effects).toEqual([{ type: 'initialize' }])
  expect(session.state).toMatchObject({ status: 'creating', process: 'loading' })
  expect(session.feed(launched()).effects).toEqual([])
})

test('a prompt does not wait until claude has loaded, whether it was there before its process or not', () => {
  const first = { type: 'prompt', turnId: 'a', promptId: 'a' }
  const before = machine().feed({ type: 'start' }, execute('a')).feed(launched())
  expect(before.effects).toEqual([first])
  const after = machine().feed({ type: 'start' }, launched()).feed(execute('a'))
  expect(after.effects).toEqual([first])
  for (const session of [before, after]) {
    expect(session.statuses).toEqual(['idle', 'running'])
    expect(session.state).toMatchObject({ process: 'loading', turn: { phase: 'sent' } })
    // Either of them says that it has loaded, and the other changes nothing.
    session.feed(moved('a', 'started'))
    expect(session.state).toMatchObject({ process: 'ready', turn: { phase: 'started' } })
    expect(session.feed(ready()).effects).toEqual([])
    expect(session.feed(result()).completes).toEqual(['a success completed'])
  }
})

test('a prompt that wakes a session is given to the process at once', () => {
  const woken = idle().feed({ type: 'hibernate', generation: 1 }, crash(), execute('a'))
  expect(woken.feed(launched(2)).effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
  expect(woken.feed(moved('a', 'started', 2)).state.process).toBe('ready')
})

test('an interrupt while claude loads does not wait for it: its process goes, and the next prompt starts another', () => {
  const session = machine().feed({ type: 'start' }, execute('a'), launched(), execute('b')).feed({ type: 'interrupt' })
  expect(session.completes).toEqual(['a interrupted interrupted_before_start'])
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  expect(session.feed(moved('a', 'started')).events).toEqual([])
  session.feed(crash(), launched(2))
  expect(session.statuses).toEqual([])
  expect(session.effects).toMatchObject([{ type: 'launch' }, { type: 'prompt', turnId: 'b' }])
})

test('what a process still says of a prompt that was taken back is nobody’s', () => {
  const session = machine().feed({ type: 'start' }, execute('a'), launched(), execute('b')).feed({ type: 'interrupt' })
  session.feed(toolUse('t1'), asks('r1'), result())
  expect(session.events).toEqual([])
  expect(session.state).toMatchObject({ approvals: [], turn: { id: 'b', phase: 'waiting' } })
  session.feed(crash(), launched(2), moved('b', 'started', 2), result({}, 2))
  expect(session.completes).toEqual(['b success completed'])
})

test('claude that does not know the conversation says how a turn ended that it has not taken: the prompt is kept', () => {
  const woken = idle().feed({ type: 'hibernate', generation: 1 }, crash(), execute('a'), launched(2))
  woken.feed(result({ outcome: 'error', reason: 'error_during_execution' }, 2))
  expect(woken.completes).toEqual([])
  woken.feed(crash(2, 'No conversation found with session ID: x'))
  expect(woken.effects).toMatchObject([{ type: 'launch', generation: 3 }])
  expect(woken.state).toMatchObject({ resumable: false, turn: { id: 'a', phase: 'waiting' } })
})

test('a turn that goes on while the session recovers is given to claude when it has loaded', () => {
  const session = running().feed(toolUse('t1'), crash())
  session.feed(ready(2), moved('a', 'completed', 2))
  const approvalId = session.state.approvals[0]?.approvalId ?? ''
  session.feed(crash(2), launched(3))
  session.feed({ type: 'answer', approvalId, decision: { decision: 'allow' }, userId: 'me' })
  expect(session.effects).toEqual([])
  expect(session.feed(ready(3)).effects).toMatchObject([{ type: 'prompt', turnId: 'a' }])
})

test('claude that ends before it has loaded has not run the prompt it was given: the next one gets it', () => {
  const session = machine().feed({ type: 'start' }, execute('a'), launched()).feed(crash())
  expect(session.statuses).toEqual(['error', 'recovering'])
  expect(session.state).toMatchObject({ process: 'starting', turn: { id: 'a', phase: 'waiting' } })
  // Of a failure it is told once, not each time that another process is there.
  expect(session.feed(launched(2)).effects).toEqual([{ type: 'initialize' }])
  expect(session.feed(ready(2)).effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
})

test('what is set while claude is being started, or loads, reaches it before the next prompt', () => {
  const early = machine().feed({ type: 'start' }, { type: 'update', model: 'm', permissionMode: 'plan' }, execute('a'))
  expect(early.feed(launched()).effects).toMatchObject([
    { type: 'set-model', model: 'm' },
    { type: 'set-permission-mode', mode: 'plan' },
    { type: 'prompt' },
  ])
  const session = machine().feed({ type: 'start' }, launched()).feed({ type: 'update', model: 'm' })
  expect(session.effects).toEqual([{ type: 'set-model', model: 'm' }])
})

test('a prompt makes it running and goes to the process; its result makes it idle', () => {
  const session = idle().feed(execute('a'))
  expect(session.events.map(({ draft }) => draft.type)).toEqual(['prompt', 'status'])
  expect(session.statuses).toEqual(['running'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
  session.feed(moved('a', 'queued'), moved('a', 'started'), result(), moved('a', 'completed'))
  expect(session.completes).toEqual(['a success completed'])
  expect(session.statuses).toEqual(['idle'])
  expect(session.effects).toEqual([])
})

test('a prompt that comes before the process is ready waits for it', () => {
  const session = machine().feed({ type: 'start' }, execute('a'))
  expect(session.effects.filter(({ type }) => type === 'prompt')).toEqual([])
  session.feed(ready())
  expect(session.statuses).toEqual(['idle', 'running'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
})

test('a prompt while one runs is queued and runs next, in order', () => {
  const session = running().feed(execute('b'), execute('c'))
  expect(session.effects).toEqual([])
  expect(session.state.queue).toEqual(['b', 'c'])
  session.feed(result())
  expect(session.completes).toEqual(['a success completed'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'b', promptId: 'b' }])
  // claude tells of the end of a prompt after its result: that must not be taken for the next one's.
  session.feed(moved('a', 'completed'), moved('b', 'started'), result())
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'c', promptId: 'c' }])
})

test('an idle session without a process starts one for the next prompt', () => {
  const session = idle().feed(crash())
  expect(session.state).toMatchObject({ status: 'idle', process: 'none' })
  expect(session.events).toMatchObject([{ draft: { type: 'progress', kind: 'process_ended' } }])
  session.feed(execute('a'))
  expect(session.effects).toEqual([{ type: 'launch', generation: 2, delayMs: 0 }])
  session.feed(ready(2))
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
})

test('usage adds up, and a turn costs what the process spent since the last one', () => {
  const session = running().feed(
    result({ totalCostUsd: 0.5 }),
    execute('b'),
    moved('b', 'started'),
    result({ totalCostUsd: 0.75 }),
  )
  expect(session.events.flatMap(({ draft }) => (draft.type === 'complete' ? [draft.costUsd] : []))).toEqual([0.5, 0.25])
  expect(session.state).toMatchObject({
    costUsd: 0.75,
    turns: 2,
    usage: { inputTokens: 2, outputTokens: 4, cacheReadTokens: 6 },
  })
  // A new process counts from nothing.
  session.feed(crash(), execute('c'), ready(2), moved('c', 'started', 2), result({ totalCostUsd: 0.1 }, 2))
  expect(session.state.costUsd).toBeCloseTo(0.85)
})

test('what claude reports between turns is kept, and is nobody’s result', () => {
  const session = idle().feed(result())
  expect(session.completes).toEqual([])
  expect(session.events).toMatchObject([{ draft: { type: 'system', subtype: 'result' } }])
})

test('an interrupt before claude has the prompt ends the turn at once, and the next one runs', () => {
  const session = idle().feed(crash(), execute('a'), execute('b'), { type: 'interrupt' })
  expect(session.completes).toEqual(['a interrupted interrupted_before_start'])
  expect(session.state.turn?.id).toBe('b')
  expect(session.effects.filter(({ type }) => type === 'interrupt')).toEqual([])
})

test('an interrupt between sending and starting is given when claude says that it has started', () => {
  const session = idle().feed(execute('a'), { type: 'interrupt' })
  expect(session.effects.filter(({ type }) => type === 'interrupt')).toEqual([])
  expect(session.feed(moved('a', 'started')).effects).toEqual([{ type: 'interrupt' }])
})

test('an interrupt of a started turn is sent, and its result ends it as interrupted', () => {
  const session = running().feed({ type: 'interrupt' })
  expect(session.effects).toEqual([{ type: 'interrupt' }])
  session.feed(result({ outcome: 'interrupted', reason: 'aborted_streaming' }), moved('a', 'cancelled'))
  expect(session.completes).toEqual(['a interrupted aborted_streaming'])
})

test('with nothing running an interrupt is refused', () => {
  expect(() => idle().feed({ type: 'interrupt' })).toThrow(expect.objectContaining({ code: 'no_turn_running' }))
})

test('a tool that asks is pending; the answer goes to claude, and stays until the tool has answered', () => {
  const session = running().feed(toolUse('tool-r1'), asks('r1', 1, [{ type: 'setMode' }]))
  const approvalId = session.state.approvals[0]?.approvalId ?? ''
  expect(session.events.at(-1)).toMatchObject({
    draft: { type: 'approval', state: 'pending', tool: 'Bash', canRemember: true },
  })
  session.feed({ type: 'answer', approvalId, decision: { decision: 'allow', remember: true }, userId: 'me' })
  expect(session.events).toMatchObject([
    { draft: { type: 'approval', state: 'allowed', decidedBy: 'me' }, turnId: 'a' },
  ])
  expect(session.effects).toEqual([{ type: 'answer', approvalId }])
  expect(session.state.approvals[0]?.answer).toEqual({
    behavior: 'allow',
    updatedInput: { command: 'ls' },
    updatedPermissions: [{ type: 'setMode' }],
  })
  expect(session.feed(toolResult('tool-r1')).state.approvals).toEqual([])
})

test('the first answer counts; a second one, and one to what never was, are refused', () => {
  const session = running().feed(asks('r1'))
  const approvalId = session.state.approvals[0]?.approvalId ?? ''
  const answer = (id: string): Input => ({
    type: 'answer',
    approvalId: id,
    decision: { decision: 'deny', message: 'no' },
    userId: 'me',
  })
  session.feed(answer(approvalId))
  expect(session.state.approvals[0]?.answer).toEqual({ behavior: 'deny', message: 'no' })
  const refused = expect.objectContaining({ code: 'approval_already_answered' })
  expect(() => session.feed(answer(approvalId))).toThrow(refused)
  expect(() => session.feed(answer('apr_never'))).toThrow(refused)
})

test('what claude no longer asks is withdrawn, the rest stays open', () => {
  const session = running().feed(asks('r1'), asks('r2'), says({ kind: 'permission-withdrawn', requestId: 'r1' }))
  expect(session.events.at(-1)).toMatchObject({ draft: { type: 'approval', state: 'withdrawn', toolUseId: 'tool-r1' } })
  expect(session.state.approvals.map(({ requestId }) => requestId)).toEqual(['r2'])
  expect(session.feed(result()).events[0]).toMatchObject({
    draft: { type: 'approval', state: 'withdrawn', toolUseId: 'tool-r2' },
  })
})

test('a request that nobody here can answer is refused, so that claude does not wait', () => {
  const session = running().feed(says({ kind: 'unsupported-request', requestId: 'r9', subtype: 'elicitation' }))
  expect(session.effects).toEqual([{ type: 'refuse', requestId: 'r9', subtype: 'elicitation' }])
})

test('a crash in a turn is an error, recovery follows, and the same prompt is given again', () => {
  const session = running().feed(asks('r1'), crash())
  expect(session.statuses).toEqual(['error', 'recovering'])
  expect(session.events).toMatchObject(
    expect.arrayContaining([
      { draft: expect.objectContaining({ type: 'error', code: 'process_crashed' }), turnId: 'a' },
    ]),
  )
  expect(session.state.approvals).toEqual([])
  expect(session.effects).toEqual([{ type: 'launch', generation: 2, delayMs: 0 }])
  session.feed(ready(2))
  expect(session.statuses).toEqual(['idle', 'running'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
  session.feed(moved('a', 'started', 2), result({}, 2))
  expect(session.completes).toEqual(['a success completed'])
  expect(session.state.failures).toBe(0)
})

test('replacements come slower and slower, and after the last the session closes and every prompt is answered', () => {
  const session = running().feed(execute('b'), crash())
  const delays: number[] = []
  for (let generation = 2; session.state.status !== 'closed'; generation++) {
    for (const effect of session.effects) if (effect.type === 'launch') delays.push(effect.delayMs)
    session.feed({ type: 'launch.failed', generation, message: 'no such program' })
  }
  expect(delays).toEqual([0, 10])
  expect(session.statuses).toEqual(['closed'])
  expect(session.completes).toEqual(['a error start_failed', 'b error start_failed'])
  expect(session.state.reason).toContain('no such program')
})

test('a process that dies before it was ready is a failed start, with the last line it said', () => {
  const session = machine().feed({ type: 'start' }, {
    ...crash(),
    type: 'process.exited',
    exit: { code: 1, signal: null },
    stderr: 'hm\nbad flag\n',
  } as Input)
  expect(session.statuses).toEqual(['error', 'recovering'])
  expect(session.events[0]).toMatchObject({
    draft: { code: 'start_failed', message: expect.stringContaining('bad flag') },
  })
  expect(session.feed(ready(2)).statuses).toEqual(['idle'])
})

test('a conversation that exists is resumed by the next process, one that does not is created anew', () => {
  const inUse = machine().feed({ type: 'start' }, crash(1, 'Error: Session ID 1 is already in use.'))
  expect(inUse.state.resumable).toBe(true)
  const gone = running().feed(crash(), crash(2, 'No conversation found with session ID: 1'))
  expect(gone.state).toMatchObject({ resumable: false, claudeSessionId: 'uuid-1' })
  // What a program that claude runs says of its own conversations changes nothing.
  expect(running().feed(crash(1, 'No conversation found')).state.resumable).toBe(true)
})

test('a turn that claude will not finish is continued by a prompt of its own, in the same turn', () => {
  const session = running().feed(toolUse('t'), toolResult('t'), crash(), ready(2), moved('a', 'completed', 2))
  expect(session.effects.at(-1)).toEqual({ type: 'prompt', turnId: 'a', promptId: 'uuid-1' })
  expect(session.completes).toEqual([])
  session.feed(moved('uuid-1', 'started', 2), result({ text: 'the rest' }, 2))
  expect(session.completes).toEqual(['a success completed'])
})

const question = (session: ReturnType<typeof machine>) =>
  session.state.approvals.find(({ requestId }) => requestId === null)?.approvalId ?? 'none'
const answers = (approvalId: string, decision: 'allow' | 'deny'): Input => ({
  type: 'answer',
  approvalId,
  decision: { decision },
  userId: 'usr',
})

test('where a tool may have run in part the user is asked, and claude goes on when it is told to', () => {
  const session = running().feed(toolUse('t'), crash(), ready(2), moved('a', 'completed', 2))
  expect(session.completes).toEqual([])
  expect(session.events.at(-1)).toMatchObject({ draft: { type: 'approval', state: 'pending', tool: 'continue_turn' } })
  session.feed(answers(question(session), 'allow'))
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: expect.stringMatching(/^uuid/) }])
  const continued = session.state.turn?.promptId ?? ''
  session.feed(moved(continued, 'started', 2), result({}, 2))
  expect(session.completes).toEqual(['a success completed'])
})

test('a turn that shall not go on ends, and says that a tool may have run in part', () => {
  const session = running().feed(toolUse('t'), crash(), ready(2), moved('a', 'completed', 2))
  session.feed(answers(question(session), 'deny'))
  expect(session.completes).toEqual(['a error turn_cut_off'])
  expect(session.events).toMatchObject(
    expect.arrayContaining([{ draft: expect.objectContaining({ code: 'turn_cut_off' }), turnId: 'a' }]),
  )
  expect(session.state.approvals).toEqual([])
})

test('a tool that is open in claude’s own record may have run in part, unless nobody had allowed it', () => {
  const found = (openTools: string[]): Input => ({ type: 'found', generation: 2, openTools, repairs: [] })
  const lacksResult = running().feed(toolUse('t'), toolResult('t'), crash(), found(['t']), ready(2))
  lacksResult.feed(moved('a', 'completed', 2))
  expect(question(lacksResult)).not.toBe('none')
  const asked = running().feed(toolUse('tool-r'), asks('r'), crash(), found(['tool-r']), ready(2))
  asked.feed(moved('a', 'completed', 2))
  expect(question(asked)).toBe('none')
})

test('the question survives another crash and is asked once; an interrupt ends the turn instead', () => {
  const session = running().feed(toolUse('t'), crash(), ready(2), moved('a', 'completed', 2))
  const asked = question(session)
  session.feed(crash(2), ready(3), moved('a', 'completed', 3))
  expect(session.events.filter(({ draft }) => draft.type === 'approval')).toEqual([])
  expect(question(session)).toBe(asked)
  session.feed({ type: 'interrupt' })
  expect(session.completes).toEqual(['a interrupted turn_cut_off'])
})

test('a tool may still have run in part when claude dies once more while that is asked', () => {
  const session = running().feed(toolUse('t'), crash(), ready(2), moved('a', 'completed', 2))
  session.feed(crash(2))
  expect(session.state.turn).toMatchObject({ openTools: ['t'], notRun: [] })
})

test('by the session’s own policy a cut-off turn always asks, or never goes on', () => {
  const cutOff = (how: 'ask' | 'never') =>
    machine(newRecord({ recovery: { continue: how } })).feed(
      ...[{ type: 'start' } as const, ready(), execute('a'), moved('a', 'started')],
      ...[toolUse('t'), toolResult('t'), crash(), ready(2), moved('a', 'completed', 2)],
    )
  expect(question(cutOff('ask'))).not.toBe('none')
  expect(cutOff('never').completes).toEqual(['a error turn_cut_off'])
})

test('a silent turn ends the process, and is given to the next one', () => {
  const session = running().feed({ type: 'turn.silent', generation: 1, turnId: 'a', forMs: 600_000 })
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  session.feed(crash())
  expect(session.events).toMatchObject(
    expect.arrayContaining([{ draft: expect.objectContaining({ type: 'error', code: 'turn_silent' }), turnId: 'a' }]),
  )
  session.feed(ready(2))
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
})

test('a turn that asks somebody something is never too silent, nor is another turn than the one that was watched', () => {
  const silent: Input = { type: 'turn.silent', generation: 1, turnId: 'a', forMs: 600_000 }
  expect(running().feed(asks('r'), silent).effects).toEqual([])
  expect(running().feed({ ...silent, turnId: 'b' }).effects).toEqual([])
})

test('a result that never comes is not waited for: the turn ends as claude left it', () => {
  const session = running().feed(says({ kind: 'idle' }))
  expect(session.effects).toEqual([{ type: 'watch-result', generation: 1, turnId: 'a' }])
  session.feed({ type: 'result.missing', generation: 1, turnId: 'a' })
  expect(session.completes).toEqual(['a success result_missing'])
  session.feed(result())
  expect(session.completes).toEqual([])
})

test('a result that comes in time is the turn’s', () => {
  const session = running().feed(says({ kind: 'idle' }), result(), {
    type: 'result.missing',
    generation: 1,
    turnId: 'a',
  })
  expect(session.completes).toEqual(['a success completed'])
})

test('a claude gone mad is ended, and the turn is given to the next one', () => {
  const session = running().feed(says({ kind: 'garbage', lines: 9, bytes: 900 }))
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  session.feed(crash())
  expect(session.events[0]).toMatchObject({ draft: { code: 'protocol_garbage' } })
})

test('a session at rest gives its process back, and a prompt that comes meanwhile starts the next one', () => {
  const asleep = idle().feed({ type: 'hibernate', generation: 1 })
  expect(asleep.effects).toEqual([{ type: 'stop', generation: 1 }])
  expect(asleep.feed(crash()).state).toMatchObject({ status: 'idle', process: 'none' })
  expect(asleep.events).toEqual([])
  const woken = idle().feed({ type: 'hibernate', generation: 1 }, execute('a'), crash())
  expect(woken.state).toMatchObject({ status: 'running', process: 'starting', generation: 2, failures: 0 })
  expect(running().feed({ type: 'hibernate', generation: 1 }).effects).toEqual([])
})

test('a server that takes its processes along leaves turns for the next one to run', () => {
  const session = running().feed({ type: 'suspend', generation: 1 })
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  session.feed({ type: 'adopted', alive: false }, ready(2))
  expect(session.effects).toMatchObject([{ type: 'launch' }, { type: 'prompt', turnId: 'a', promptId: 'a' }])
  expect(session.completes).toEqual([])
})

test('a full disk is waited for: it passes, and is not the session’s fault', () => {
  const session = running()
  for (let generation = 1; generation < 12; generation++) {
    session.feed(crash(generation, 'ENOSPC: no space left on device'))
    expect(session.state).toMatchObject({ status: 'recovering', turn: { id: 'a' } })
  }
  session.feed(ready(12), result({}, 12))
})

test('a process that ends without room to write is ended by the full disk, whatever a watchdog thought', () => {
  const full = (generation: number): Input => ({
    ...{ type: 'process.exited', generation, stderr: '' },
    exit: { code: 137, signal: 'SIGKILL', diskFull: true },
  })
  const crashed = running().feed(full(1))
  expect(crashed.events[0]).toMatchObject({
    draft: { code: 'disk_full', message: 'claude was ended by SIGKILL while the disk is full.' },
  })
  const session = running().feed(crash())
  for (let generation = 2; generation < 12; generation++) {
    session.feed(launched(generation), { type: 'start.timeout', generation, afterMs: 5000 })
    expect(session.effects.at(-1)).toEqual({ type: 'stop', generation })
    session.feed(full(generation))
    expect(session.state).toMatchObject({ status: 'recovering', turn: { id: 'a' } })
  }
  session.feed(ready(12), result({}, 12))
  expect(session.completes).toEqual(['a success completed'])
})

test('a process that was being put to sleep when the server died is ended by the next one', () => {
  const session = idle().feed({ type: 'hibernate', generation: 1 }, execute('a'))
  session.feed({ type: 'adopted', alive: true })
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  expect(session.feed(crash()).state).toMatchObject({ status: 'running', process: 'starting', generation: 2 })
})

test('where nothing can help the session closes at once, with the cause', () => {
  const session = running().feed(crash(), {
    ...{ type: 'launch.failed' as const, generation: 2, message: 'The workspace was deleted.' },
    code: 'workspace_missing',
  })
  expect(session.state).toMatchObject({ status: 'closed', reason: 'The workspace was deleted.' })
  expect(session.completes).toEqual(['a error workspace_missing'])
})

test('a tool that was asked for before a crash is forgotten when the turn begins anew', () => {
  const session = running().feed(
    toolUse('t1'),
    asks('r1'),
    crash(),
    ready(2),
    moved('a', 'started', 2),
    toolUse('t2', 2),
    toolResult('t2', 2),
  )
  expect(session.state.turn?.openTools).toEqual([])
  session.feed(crash(2), ready(3), moved('a', 'completed', 3))
  expect(session.completes).toEqual([])
  expect(session.effects.at(-1)).toMatchObject({ type: 'prompt', turnId: 'a' })
})

test('an interrupt survives a crash: the turn ends, and is not run to its end', () => {
  const session = running().feed({ type: 'interrupt' }, crash(), ready(2), moved('a', 'started', 2))
  expect(session.effects.at(-1)).toEqual({ type: 'interrupt' })
  const cut = running().feed({ type: 'interrupt' }, crash(), ready(2), moved('a', 'completed', 2))
  expect(cut.completes).toEqual(['a interrupted interrupted_before_start'])
})

test('closing ends the running turn and the queue as interrupted, and stops the process; nothing comes after', () => {
  const session = running().feed(execute('b'), asks('r1'), { type: 'close', reason: 'enough' })
  expect(session.completes).toEqual(['a interrupted session_closed', 'b interrupted session_closed'])
  expect(session.statuses).toEqual(['closed'])
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  session.feed(result(), moved('a', 'cancelled'), toolUse('t'), { type: 'close', reason: 'again' }, crash())
  expect(session.events).toEqual([])
  expect(session.effects).toEqual([])
  expect(session.state).toMatchObject({ status: 'closed', reason: 'enough', process: 'none' })
  expect(() => session.feed(execute('c'))).toThrow(expect.objectContaining({ code: 'session_closed' }))
})

test('a user who has stored too much: what runs and what waits ends, and so does the process; a later prompt starts another', () => {
  const exceeded: Input = { type: 'halt', code: 'quota_exceeded', message: 'too much' }
  const session = running().feed(execute('b')).feed(exceeded)
  expect(session.completes).toEqual(['a error quota_exceeded', 'b error quota_exceeded'])
  expect(session.events[0]).toMatchObject({ turnId: 'a', draft: { code: 'quota_exceeded', message: 'too much' } })
  expect(session.state).toMatchObject({ status: 'idle', process: 'stopping', turn: null, queue: [] })
  expect(session.effects).toEqual([{ type: 'stop', generation: 1 }])
  // While it ends, and of what it says meanwhile, nothing more is told.
  expect(session.feed(exceeded)).toMatchObject({ events: [], effects: [] })
  session.feed(execute('c'), { type: 'process.exited', generation: 1, exit: { code: 0, signal: null }, stderr: '' })
  expect(session.effects).toEqual([{ type: 'launch', generation: 2, delayMs: 0 }])
  // One that rests goes too: a tool may have left something behind.
  expect(idle().feed(exceeded)).toMatchObject({
    events: [],
    effects: [{ type: 'stop', generation: 1 }],
  })
  // One that is only being started ends when it is there.
  const starting = machine().feed({ type: 'start' }, execute('a')).feed(exceeded)
  expect(starting.effects).toEqual([])
  expect(starting.completes).toEqual(['a error quota_exceeded'])
  expect(starting.feed(ready(), exceeded).effects).toEqual([{ type: 'stop', generation: 1 }])
})

test('a full queue refuses, with a time to come back', () => {
  const session = running()
  for (let count = 0; count < 200; count++) session.feed(execute(`q${count}`))
  expect(() => session.feed(execute('one more'))).toThrow(
    expect.objectContaining({ code: 'queue_full', retryAfter: 5 }),
  )
})

test('a refusal leaves the session as it was', () => {
  const session = running()
  const before = structuredClone(session.record)
  expect(() =>
    session.feed({ type: 'answer', approvalId: 'apr', decision: { decision: 'allow' }, userId: 'me' }),
  ).toThrow()
  expect(session.record).toEqual(before)
})

test('changes reach a ready process; others take effect when it starts', () => {
  const session = idle().feed({ type: 'update', name: 'new', model: 'opus', permissionMode: 'plan' })
  expect(session.effects).toEqual([
    { type: 'set-model', model: 'opus' },
    { type: 'set-permission-mode', mode: 'plan' },
  ])
  expect(session.record).toMatchObject({ name: 'new', model: 'opus', permissionMode: 'plan' })
  expect(session.feed({ type: 'update', model: 'opus' }).effects).toEqual([])
  expect(machine().feed({ type: 'start' }, { type: 'update', model: 'opus' }).effects).toHaveLength(1)
})

test('metadata is told once, and again when it changes', () => {
  const init = (model: string) => says({ kind: 'conversation', claudeSessionId: 'c2', model })
  const session = idle().feed(init('a'), init('a'), init('b'))
  expect(session.events).toMatchObject([{ draft: { model: 'a', generation: 1 } }, { draft: { model: 'b' } }])
  expect(session.state).toMatchObject({ claudeSessionId: 'c2', resumable: true })
})

test('a one-shot session closes when its turn has ended, however it ended', () => {
  const oneShot = () => machine(newRecord({}, { oneShot: true })).feed({ type: 'start' }, execute('a'))
  expect(oneShot().feed(ready(), moved('a', 'started'), result()).statuses).toEqual([
    'idle',
    'running',
    'idle',
    'closed',
  ])
  const waiting = oneShot().feed(ready(), crash(), { type: 'interrupt' })
  expect(waiting.completes).toEqual(['a interrupted interrupted_before_start'])
  expect(waiting.state).toMatchObject({ status: 'closed', process: 'stopping' })
})

test('a new server gives a process again what the last one may not have got through', () => {
  const again = (session: ReturnType<typeof machine>) => session.feed({ type: 'adopted', alive: true }).effects
  expect(again(machine().feed({ type: 'start' }))).toEqual([{ type: 'initialize' }])
  expect(again(machine().feed({ type: 'start' }, launched()))).toEqual([{ type: 'initialize' }])
  const early = machine().feed({ type: 'start' }, launched(), execute('a'))
  expect(again(early)).toEqual([{ type: 'initialize' }, { type: 'prompt', turnId: 'a', promptId: 'a' }])
  expect(again(idle().feed(execute('a')))).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'a' }])
  expect(again(running())).toEqual([])
  expect(again(running().feed({ type: 'interrupt' }))).toEqual([{ type: 'interrupt' }])
  const asked = running().feed(asks('r1'))
  const approvalId = asked.state.approvals[0]?.approvalId ?? ''
  expect(again(asked)).toEqual([])
  expect(again(asked.feed({ type: 'answer', approvalId, decision: { decision: 'allow' }, userId: 'me' }))).toEqual([
    { type: 'answer', approvalId },
  ])
})

test('a new server that finds the process gone recovers the turn', () => {
  const session = running().feed({ type: 'adopted', alive: false })
  expect(session.statuses).toEqual(['error', 'recovering'])
  expect(session.effects).toEqual([{ type: 'launch', generation: 2, delayMs: 0 }])
  expect(idle().feed({ type: 'adopted', alive: false }).state).toMatchObject({ status: 'idle', process: 'none' })
})

test('servers that die one after the other while they start claude use up no retry', () => {
  const session = machine().feed({ type: 'start' })
  for (let generation = 2; generation < 20; generation++) {
    if (generation % 2 === 0) session.feed(launched(generation - 1))
    session.feed({ type: 'adopted', alive: false })
    expect(session.effects).toEqual([{ type: 'launch', generation, delayMs: 0 }])
    expect(session.state).toMatchObject({ status: 'creating', process: 'starting', failures: 0 })
  }
})

const until = 5_000_000
const limited = (generation = 1) => says({ kind: 'limited', until }, generation)
const refused = () => result({ outcome: 'error', reason: 'api_error' })
const parked = () => running().feed(limited(), refused())

test('a turn that a plan limit refuses waits for the end of the limit, and goes on by itself', () => {
  const session = parked()
  expect(session.completes).toEqual([])
  expect(session.effects).toEqual([{ type: 'wake', at: until }])
  expect(session.events.map(({ draft }) => draft.type === 'progress' && draft.kind)).toEqual(['plan_limit'])
  expect(session.state).toMatchObject({ status: 'running', parkedUntil: until, turn: { id: 'a', phase: 'waiting' } })
  session.feed(execute('b'), { type: 'limit.over', until: until - 1 })
  expect(session.effects).toEqual([])
  session.feed({ type: 'limit.over', until })
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'a', promptId: 'uuid-1' }])
  session.feed(moved('uuid-1', 'started'), result())
  expect(session.completes).toEqual(['a success completed'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'b', promptId: 'b' }])
})

test('who waits for a limit can be interrupted, and what is behind it is tried at once', () => {
  const session = parked().feed(execute('b'), { type: 'interrupt' })
  expect(session.completes).toEqual(['a interrupted interrupted_before_start'])
  expect(session.effects).toEqual([{ type: 'prompt', turnId: 'b', promptId: 'b' }])
  expect(session.feed({ type: 'limit.over', until }).effects).toEqual([])
})

test('a limit outlives the server and the process: nothing is given to claude before its end', () => {
  const session = parked().feed({ type: 'adopted', alive: true })
  expect(session.effects).toEqual([{ type: 'wake', at: until }])
  session.feed(crash(), ready(2))
  expect(session.effects.map(({ type }) => type)).toEqual(['launch'])
  expect(session.feed({ type: 'limit.over', until }).effects).toMatchObject([{ type: 'prompt', turnId: 'a' }])
})

test('a refusal that named no time, or a turn that succeeded all the same, waits for nothing', () => {
  expect(running().feed(refused()).completes).toEqual(['a error api_error'])
  expect(running().feed(limited(), result()).completes).toEqual(['a success completed'])
})
