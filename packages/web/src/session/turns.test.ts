import { applyItems, emptyTranscript } from '@aicm/client'
import type { StreamItem } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { entriesOf, sameTurn, turnsOf, type Entry } from './turns.ts'

const time = '2026-01-01T00:00:00.000Z'
type Loose = Record<string, unknown> & { type: StreamItem['type'] }

/** Messages get their `seq` by their place; deltas follow the message before them. */
const transcript = (...items: Loose[]) => {
  let seq = 0
  return applyItems(
    emptyTranscript,
    items.map(
      (item) =>
        (item.type === 'delta' ? { after: seq, ...item } : { seq: (seq += 1), time, ...item }) as unknown as StreamItem,
    ),
  )
}
const prompt = (turnId: string): Loose => ({
  type: 'prompt',
  turnId,
  content: [{ type: 'text', text: turnId }],
  userId: 'u',
})
const text = (turnId: string, block: string): Loose => ({ type: 'text', turnId, block, text: block })
const complete = (turnId: string): Loose => ({ type: 'complete', turnId, result: 'success', reason: 'completed' })
const use = (toolUseId: string, more = {}): Loose => ({
  type: 'tool_use',
  turnId: 'a',
  block: `b-${toolUseId}`,
  toolUseId,
  name: 'Bash',
  input: { command: 'ls' },
  ...more,
})
const result = (toolUseId: string, isError = false): Loose => ({
  type: 'tool_result',
  turnId: 'a',
  toolUseId,
  content: 'out',
  isError,
})
const approval = (toolUseId: string, state: string): Loose => ({
  type: 'approval',
  turnId: 'a',
  approvalId: `apr-${toolUseId}`,
  state,
  toolUseId,
  tool: 'Bash',
  input: { command: 'ls' },
  canRemember: true,
})

const entries = (...items: Loose[]): Entry[] => {
  const [turn] = turnsOf(transcript(prompt('a'), ...items))
  return turn === undefined ? [] : entriesOf(turn)
}
const outline = (list: Entry[]): unknown[] =>
  list.map((entry) =>
    entry.kind === 'tool'
      ? [entry.name, entry.state, ...outline(entry.inner)]
      : 'text' in entry
        ? entry.text
        : entry.kind,
  )

test('a queued prompt stands after all of the turn before it', () => {
  const turns = turnsOf(transcript(prompt('a'), text('a', '1'), prompt('b'), text('a', '2')))
  expect(turns.map(({ turnId, state, blocks }) => [turnId, state, blocks.map((block) => block.text)])).toEqual([
    ['a', 'running', ['1', '2']],
    ['b', 'queued', []],
  ])
})

test('when a turn is complete the next one runs', () => {
  const turns = turnsOf(transcript(prompt('a'), prompt('b'), complete('a'), text('b', '1')))
  expect(turns.map(({ turnId, state }) => [turnId, state])).toEqual([
    ['a', 'done'],
    ['b', 'running'],
  ])
  expect(turns[0]?.complete?.message.result).toBe('success')
})

test('what happens between turns stands between them; what is no conversation is left out', () => {
  const turns = turnsOf(
    transcript(
      { type: 'metadata', generation: 1 },
      { type: 'system', subtype: 'init' },
      { type: 'status', status: 'idle' },
      prompt('a'),
      complete('a'),
      { type: 'status', status: 'error', reason: 'It crashed' },
      { type: 'metadata', generation: 2 },
      prompt('b'),
    ),
  )
  expect(turns.map(({ turnId, blocks }) => [turnId, blocks.map(({ kind }) => kind)])).toEqual([
    ['a', []],
    [undefined, ['status', 'metadata']],
    ['b', []],
  ])
})

test('a call, its approval and its result are one entry', () => {
  expect(outline(entries(use('1')))).toEqual([['Bash', 'running']])
  expect(outline(entries(use('1'), approval('1', 'pending')))).toEqual([['Bash', 'waiting']])
  expect(outline(entries(approval('1', 'pending'), use('1', { name: 'Write' })))).toEqual([['Write', 'waiting']])
  expect(outline(entries(use('1'), approval('1', 'allowed'), result('1')))).toEqual([['Bash', 'ok']])
  expect(outline(entries(use('1'), result('1', true)))).toEqual([['Bash', 'failed']])
  expect(outline(entries(use('1'), approval('1', 'denied'), result('1', true)))).toEqual([['Bash', 'denied']])
})

test('a call without a result when the turn ended was cut off', () => {
  expect(outline(entries(use('1'), complete('a')))).toEqual([['Bash', 'cut']])
  expect(outline(entries(use('1', { partial: true, input: '{"comm' })))).toEqual([['Bash', 'cut']])
})

test('a call is shown while its input still grows', () => {
  const growing = {
    type: 'delta',
    turnId: 'a',
    block: 'x',
    kind: 'tool_use',
    name: 'Write',
    at: 0,
    text: '{"file_path":"/a',
  } as const
  expect(entries(growing)).toMatchObject([{ kind: 'tool', name: 'Write', state: 'writing', input: '{"file_path":"/a' }])
})

test('a sub-agent speaks inside the call that started it', () => {
  const list = entries(
    use('task', { name: 'Task' }),
    { ...text('a', 'inner words'), parentToolUseId: 'task' },
    use('inner', { parentToolUseId: 'task' }),
    result('inner'),
    text('a', 'outer words'),
  )
  expect(outline(list)).toEqual([['Task', 'running', 'inner words', ['Bash', 'ok']], 'outer words'])
})

test('progress of one kind is one line', () => {
  const progress = (kind: string, words: string): Loose => ({ type: 'progress', turnId: 'a', kind, text: words })
  const list = entries(progress('api_retry', 'in 2 s'), progress('api_retry', 'in 1 s'), progress('compacting', 'now'))
  expect(list.map((entry) => (entry.kind === 'progress' ? entry.block.text : ''))).toEqual(['in 1 s', 'now'])
})

test('a turn that did not change is known to be the same', () => {
  const before = transcript(prompt('a'), text('a', '1'), complete('a'), prompt('b'))
  const after = applyItems(before, [
    { type: 'delta', after: 4, turnId: 'b', block: 'n', kind: 'text', at: 0, text: 'x' },
  ])
  const [oldTurns, newTurns] = [turnsOf(before), turnsOf(after)]
  const same = newTurns.map((turn, index) => {
    const old = oldTurns[index]
    return old !== undefined && sameTurn(old, turn)
  })
  expect(same).toEqual([true, false])
})
