import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordings } from '@aicm/testing/recordings'
import { createSplitter } from '../process/split-lines.ts'
import { createDecoder, initializeRequestId, type WireLine } from './decode.ts'
import type { AgentOutput } from './output.ts'

const linesOf = (text: string): WireLine[] => createSplitter({ from: 0, maxBytes: 8e6 }).push(Buffer.from(text))

const decodeAll = (text: string, generation = 1): AgentOutput[] => {
  const decoder = createDecoder({ generation })
  return [...linesOf(text).flatMap((line) => decoder.decode(line)), ...decoder.end()]
}

const recording = (name: string): string => recordings().get(name) ?? ''
const json = (...lines: unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

const kinds = <K extends AgentOutput['kind']>(outputs: AgentOutput[], kind: K) =>
  outputs.filter((output): output is Extract<AgentOutput, { kind: K }> => output.kind === kind)
const drafts = (outputs: AgentOutput[]) => kinds(outputs, 'message').map(({ draft }) => draft)

/** The deltas of each block put together, each at its place. */
const grown = (outputs: AgentOutput[]): Map<string, string> => {
  const blocks = new Map<string, string>()
  for (const { delta } of kinds(outputs, 'delta')) {
    const before = blocks.get(delta.block) ?? ''
    expect(delta.at).toBe(before.length)
    blocks.set(delta.block, before + delta.text)
  }
  return blocks
}

test('in every recording the deltas of a block are the text of the whole block, and each block is told once', () => {
  for (const [name, text] of recordings()) {
    const outputs = decodeAll(text)
    const blocks = grown(outputs)
    const whole = drafts(outputs).filter((draft) => 'block' in draft)
    expect(new Set(whole.map(({ block }) => block)).size, name).toBe(whole.length)
    for (const draft of whole) {
      if (draft.type === 'tool_use') expect(JSON.parse(blocks.get(draft.block) ?? ''), name).toEqual(draft.input)
      else expect(blocks.get(draft.block), name).toBe(draft.text)
    }
    expect(new Set(whole.map(({ block }) => block)), name).toEqual(new Set(blocks.keys()))
  }
})

test('in every recording nothing is unknown', () => {
  for (const [name, text] of recordings()) {
    const unknown = drafts(decodeAll(text)).filter((draft) => draft.type === 'system')
    // A slash command's answer is one, on purpose.
    expect(
      unknown.filter(({ subtype }) => subtype !== 'local_command'),
      name,
    ).toEqual([])
  }
})

test('blocks have the same names however often the journal is read, and other names in another generation', () => {
  for (const text of recordings().values()) {
    const first = decodeAll(text)
    expect(decodeAll(text)).toEqual(first)
    const names = new Set(grown(first).keys())
    expect([...grown(decodeAll(text, 2)).keys()].filter((block) => names.has(block))).toEqual([])
  }
})

test('a reader that starts at a quiet place misses nothing of what comes after', () => {
  for (const [name, text] of recordings()) {
    const lines = linesOf(text)
    const decoder = createDecoder({ generation: 1 })
    const outputs = lines.map((line) => ({ said: decoder.decode(line), quiet: decoder.quiet() }))
    const ending = decoder.end()
    for (const [index, { quiet }] of outputs.entries()) {
      if (!quiet) continue
      const late = createDecoder({ generation: 1 })
      const rest = [...lines.slice(index + 1).flatMap((line) => late.decode(line)), ...late.end()]
      expect(rest, `${name} from line ${index + 1}`).toEqual([
        ...outputs.slice(index + 1).flatMap(({ said }) => said),
        ...ending,
      ])
    }
  }
})

test('a turn is told as started, its answer, its result, completed', () => {
  const outputs = decodeAll(recording('command-lifecycle'))
  const told = outputs.flatMap((output) => {
    if (output.kind === 'prompt') return [`${output.turnId.slice(0, 2)} ${output.state}`]
    if (output.kind === 'message' && output.draft.type === 'text') return ['text']
    return output.kind === 'result' ? [output.result.outcome] : []
  })
  expect(told).toEqual([
    ...['2f queued', '2f started', 'e6 queued', 'text', 'success', '2f completed'],
    ...['e6 started', 'text', 'success', 'e6 completed'],
  ])
  expect(kinds(outputs, 'result').map(({ result }) => result)).toMatchObject([
    {
      reason: 'completed',
      text: 'tok0 tok1 tok2 tok3 tok4 ',
      totalCostUsd: 0.0005,
      numTurns: 1,
      usage: { inputTokens: 100, outputTokens: 5 },
    },
    { totalCostUsd: 0.001, usage: { inputTokens: 100, outputTokens: 5, cacheReadTokens: 0, cacheWriteTokens: 0 } },
  ])
})

test('it names its conversation and what it runs with', () => {
  const [first] = kinds(decodeAll(recording('one-turn-partial-messages')), 'conversation')
  expect(first).toMatchObject({
    claudeSessionId: 'ca16c143-8b58-4448-bf01-f0da0be83fd5',
    model: 'claude-opus-5-5',
    permissionMode: 'default',
    claudeVersion: '2.1.330',
    cwd: '/workspace',
  })
  expect(first?.tools).toContain('Bash')
})

test('it is ready when our initialize is answered, not when another request is', () => {
  const answer = (id: string, subtype = 'success') =>
    decodeAll(json({ type: 'control_response', response: { subtype, request_id: id, error: 'no', response: {} } }))
  expect(answer(initializeRequestId)).toEqual([{ kind: 'ready' }])
  expect(answer('another')).toEqual([])
  expect(drafts(answer(initializeRequestId, 'error'))).toMatchObject([
    { type: 'system', subtype: 'control_error', data: { error: 'no' } },
  ])
})

test('permission is asked for with the tool, its input and what could be remembered; results name their tool', () => {
  const outputs = decodeAll(recording('permissions-and-queue'))
  expect(kinds(outputs, 'permission')).toMatchObject([
    {
      tool: 'Write',
      toolUseId: 'toolu_3',
      input: { file_path: '/workspace/a.txt' },
      suggestions: [{ mode: 'acceptEdits' }],
    },
    { tool: 'Bash', toolUseId: 'toolu_5', input: { command: 'touch /workspace/evil' } },
  ])
  expect(drafts(outputs).filter(({ type }) => type === 'tool_use' || type === 'tool_result')).toMatchObject([
    { type: 'tool_use', toolUseId: 'toolu_3', name: 'Write', input: { content: 'hello\nworld\n' } },
    { type: 'tool_result', toolUseId: 'toolu_3', isError: false },
    { type: 'tool_use', toolUseId: 'toolu_5', name: 'Bash' },
    { type: 'tool_result', toolUseId: 'toolu_5', isError: true, content: 'not allowed by operator' },
  ])
  expect(decodeAll(json({ type: 'control_cancel_request', request_id: 'r' }))).toEqual([
    { kind: 'permission-withdrawn', requestId: 'r' },
  ])
})

test('a request that we do not offer is told, so that it can be refused', () => {
  const line = json({ type: 'control_request', request_id: 'r1', request: { subtype: 'elicitation' } })
  expect(decodeAll(line)).toEqual([{ kind: 'unsupported-request', requestId: 'r1', subtype: 'elicitation' }])
})

test('an API error is an error and no answer, and its turn failed', () => {
  const codes = {
    400: 'prompt_too_long',
    401: 'auth_required',
    429: 'rate_limited',
    500: 'api_error',
    529: 'overloaded',
  }
  for (const [status, code] of Object.entries(codes)) {
    const outputs = decodeAll(recording(`api-error-${status}`))
    const told = drafts(outputs)
    expect(
      told.filter(({ type }) => type === 'text'),
      status,
    ).toEqual([])
    expect(
      told.filter(({ type }) => type === 'error'),
      status,
    ).toMatchObject([
      {
        code,
        message: expect.stringMatching(/^(API Error|Prompt is too long|Failed to auth|Not logged in|Invalid API key)/),
        detail: { status: Number(status) },
      },
    ])
    expect(kinds(outputs, 'result'), status).toMatchObject([
      { result: { outcome: 'error', reason: status === '400' ? 'prompt_too_long' : 'api_error' } },
    ])
  }
  expect(drafts(decodeAll(recording('api-error-429'))).filter(({ type }) => type === 'progress')).toMatchObject([
    { kind: 'api_retry', text: 'The model API answered 429; retry 1 of 2 in 1.2 s.', data: { attempt: 1 } },
    { kind: 'api_retry', data: { attempt: 2 } },
  ])
})

test('an interrupted turn keeps what it had said, and says nothing of what claude notes for itself', () => {
  const outputs = decodeAll(recording('interrupt'))
  const [{ result } = { result: undefined }] = kinds(outputs, 'result')
  expect(result).toMatchObject({ outcome: 'interrupted', reason: 'aborted_streaming', text: undefined })
  // The recording ends in the middle of the second answer: the process was killed there.
  expect(drafts(outputs).filter(({ type }) => type === 'text')).toMatchObject([
    { text: 'tok0 ' },
    { text: 'tok0 ', partial: true },
  ])
})

test('a conversation that cannot be resumed fails with what claude said', () => {
  expect(kinds(decodeAll(recording('resume-unknown')), 'result')).toMatchObject([
    { result: { outcome: 'error', text: expect.stringContaining('No conversation found') } },
  ])
})

const opened = (message: string, index: number, content: object, parent: string | null = null) => ({
  type: 'stream_event',
  event: { type: 'content_block_start', index, content_block: content },
  parent_tool_use_id: parent,
  api_message_id: message,
})
const delta = (message: string, index: number, change: object, parent: string | null = null) => ({
  type: 'stream_event',
  event: { type: 'content_block_delta', index, delta: change },
  parent_tool_use_id: parent,
  api_message_id: message,
})

test('a turn that ends with a block half said makes it a partial message, whatever kind it was', () => {
  const lines = json(
    opened('m', 0, { type: 'thinking', thinking: '' }),
    delta('m', 0, { thinking: 'hm' }),
    opened('m', 1, { type: 'text', text: '' }),
    delta('m', 1, { text: 'so' }),
    opened('m', 2, { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} }),
    delta('m', 2, { partial_json: '{"comm' }),
    opened('m', 3, { type: 'text', text: '' }),
  )
  const cut = [
    { type: 'thinking', text: 'hm', partial: true },
    { type: 'text', text: 'so', partial: true },
    { type: 'tool_use', toolUseId: 'toolu_1', name: 'Bash', input: '{"comm', partial: true },
  ]
  expect(drafts(decodeAll(lines))).toMatchObject(cut)
  const ended = decodeAll(lines + json({ type: 'result', subtype: 'success' }))
  expect(drafts(ended)).toMatchObject(cut)
  expect(ended.at(-1)?.kind).toBe('result')
})

test('a sub-agent and its parent stream side by side without getting mixed up', () => {
  const outputs = decodeAll(
    json(
      opened('m1', 0, { type: 'text', text: '' }),
      opened('m2', 0, { type: 'text', text: '' }, 'toolu_task'),
      delta('m1', 0, { text: 'parent ' }),
      delta('m2', 0, { text: 'child ' }, 'toolu_task'),
      delta('m1', 0, { text: 'one' }),
      delta('m2', 0, { text: 'two' }, 'toolu_task'),
      {
        type: 'assistant',
        parent_tool_use_id: 'toolu_task',
        message: { id: 'm2', content: [{ type: 'text', text: 'child two' }] },
      },
      { type: 'assistant', message: { id: 'm1', content: [{ type: 'text', text: 'parent one' }] } },
    ),
  )
  const blocks = grown(outputs)
  const told = drafts(outputs)
  expect(told).toMatchObject([
    { text: 'child two', parentToolUseId: 'toolu_task' },
    { text: 'parent one', parentToolUseId: undefined },
  ])
  for (const draft of told)
    expect('block' in draft && 'text' in draft && blocks.get(draft.block) === draft.text).toBe(true)
})

test('what this version does not know is kept as it came', () => {
  const future = { type: 'telepathy', strength: 11, nested: { a: [1, 2] } }
  expect(drafts(decodeAll(json(future)))).toEqual([{ type: 'system', subtype: 'telepathy', data: future }])
  const subtype = { type: 'system', subtype: 'mood', mood: 'good' }
  expect(drafts(decodeAll(json(subtype)))).toEqual([{ type: 'system', subtype: 'mood', data: subtype }])
})

test('what is no JSON object is kept as text, cut to a size', () => {
  expect(drafts(decodeAll('not json\n[1,2]\n"text"\nnull\n\n  \n'))).toEqual(
    ['not json', '[1,2]', '"text"', 'null'].map((data) => ({ type: 'system', subtype: 'unparsed', data })),
  )
  const [long] = drafts(decodeAll(`${'x'.repeat(1e6)}\n`))
  expect(JSON.stringify(long).length).toBeLessThan(3000)
  const oversized = createDecoder({ generation: 1 }).decode({
    kind: 'oversized',
    start: 0,
    head: '{"type":"user"',
    bytes: 1e9,
  })
  expect(drafts(oversized)).toEqual([
    { type: 'system', subtype: 'oversized', data: { bytes: 1e9, head: '{"type":"user"' } },
  ])
})

test('what is nested too deep to be written again is kept as text', () => {
  for (const levels of [600, 100_000]) {
    const [told] = drafts(decodeAll(`{"type":"x","deep":${'['.repeat(levels)}${']'.repeat(levels)}}\n`))
    expect(told).toMatchObject({ type: 'system', subtype: 'unparsed' })
    expect(() => JSON.stringify(told)).not.toThrow()
  }
  const nested = `{"type":"x","deep":${'['.repeat(400)}${']'.repeat(400)}}`
  expect(drafts(decodeAll(`${nested}\n`))).toEqual([{ type: 'system', subtype: 'x', data: JSON.parse(nested) }])
})

/** Names and values that the decoder looks at, put where they do not belong. */
const words = [
  'stream_event',
  'assistant',
  'user',
  'system',
  'result',
  'command_lifecycle',
  'control_request',
  'control_cancel_request',
]
  .concat([
    'control_response',
    'rate_limit_event',
    'tool_progress',
    'content_block_start',
    'content_block_delta',
    'text',
    'tool_use',
  ])
  .concat([
    'thinking',
    'tool_result',
    'init',
    'api_retry',
    'status',
    'compact_boundary',
    'task_started',
    'success',
    'started',
  ])
const keys = [
  'type',
  'subtype',
  'event',
  'message',
  'content',
  'content_block',
  'delta',
  'index',
  'id',
  'response',
  'request',
]
  .concat([
    'request_id',
    'rate_limit_info',
    'resetsAt',
    'usage',
    'result',
    'errors',
    'text',
    'thinking',
    'partial_json',
    'state',
  ])
  .concat([
    'is_error',
    'is_api_error_message',
    'terminal_reason',
    'command_uuid',
    'total_cost_usd',
    'retry_delay_ms',
    '__proto__',
  ])
const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(...words, null, true, 0, -1, 1e300, '', []),
    fc.anything(),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 6 }),
}))

test('nothing that is said makes it throw, and all that it makes of it can be stored', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(anything.object, anything.value), { maxLength: 8 }), (values) => {
      const text = values
        .map((value) => {
          try {
            return `${JSON.stringify(value) ?? 'undefined'}\n`
          } catch {
            return 'unwritable\n'
          }
        })
        .join('')
      const outputs = decodeAll(text)
      expect(JSON.parse(JSON.stringify(outputs))).toBeInstanceOf(Array)
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const decoder = createDecoder({ generation: 1 })
      const lines = createSplitter({ from: 0, maxBytes: 100 }).push(Buffer.from([...bytes, 10]))
      JSON.stringify(lines.flatMap((line) => decoder.decode(line)))
    }),
    { numRuns: 1000 },
  )
})

test('a recording with lines lost, doubled or out of order makes it neither throw nor name a block twice', () => {
  const lines = recording('permissions-and-queue').trimEnd().split('\n')
  fc.assert(
    fc.property(fc.array(fc.nat(lines.length - 1), { minLength: 1, maxLength: 150 }), (picks) => {
      const told = drafts(decodeAll(picks.map((at) => `${lines[at]}\n`).join('')))
      const blocks = told.flatMap((draft) => ('block' in draft ? [draft.block] : []))
      expect(new Set(blocks).size).toBe(blocks.length)
    }),
    { numRuns: 200 },
  )
})
