import type { Delta, Message, StreamItem } from '@aicm/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyItem, applyItems, blocksOf, emptyTranscript, toolResultText } from './transcript.ts'

const time = '2026-01-01T00:00:00.000Z'
const delta = (fields: Partial<Delta>): Delta => ({
  type: 'delta',
  after: 0,
  block: 'b1',
  kind: 'text',
  at: 0,
  text: '',
  ...fields,
})

test('text grows by its deltas and is then replaced by the stored message, with the same key', () => {
  let transcript = applyItem(emptyTranscript, delta({ text: 'Hel' }))
  transcript = applyItem(transcript, delta({ at: 3, text: 'lo' }))
  expect(blocksOf(transcript)).toMatchObject([{ kind: 'text', state: 'open', text: 'Hello', key: 'block:b1' }])
  transcript = applyItem(transcript, { type: 'text', seq: 1, time, block: 'b1', text: 'Hello.' })
  expect(blocksOf(transcript)).toMatchObject([{ kind: 'text', state: 'done', text: 'Hello.', key: 'block:b1' }])
  expect(applyItem(transcript, delta({ text: 'Hel' }))).toBe(transcript)
})

test('what is in already, and a delta with a hole before it, change nothing at all', () => {
  const transcript = applyItem(emptyTranscript, delta({ text: 'Hello' }))
  expect(applyItem(transcript, delta({ at: 1, text: 'ell' }))).toBe(transcript)
  expect(applyItem(transcript, delta({ at: 9, text: 'x' }))).toBe(transcript)
})

test('while text streams the stored blocks stay the same array', () => {
  const before = applyItem(emptyTranscript, { type: 'status', seq: 1, time, status: 'running' })
  expect(applyItem(before, delta({ after: 1, text: 'x' })).settled).toBe(before.settled)
})

test('an answered approval takes the place of the question', () => {
  const approval = {
    type: 'approval',
    time,
    approvalId: 'apr_1',
    toolUseId: 't',
    tool: 'Bash',
    input: { command: 'ls' },
    canRemember: true,
  } as const
  const transcript = applyItems(emptyTranscript, [
    { ...approval, seq: 1, state: 'pending' },
    { type: 'progress', seq: 2, time, kind: 'task', text: 'still there' },
    { ...approval, seq: 3, state: 'denied' },
  ])
  expect(blocksOf(transcript).map(({ kind }) => kind)).toEqual(['approval', 'progress'])
  expect(transcript.settled[0]?.message).toMatchObject({ state: 'denied' })
})

test('a turn that ends leaves its unfinished blocks as partial', () => {
  const transcript = applyItems(emptyTranscript, [
    delta({ turnId: 't1', text: 'half' }),
    { type: 'complete', seq: 1, time, turnId: 't1', result: 'interrupted', reason: 'aborted_streaming' },
  ])
  expect(transcript.open).toMatchObject([{ state: 'partial', text: 'half' }])
})

test('the transcript knows status, model, and the turns that run and wait', () => {
  const prompt = (seq: number, turnId: string): Message => ({
    type: 'prompt',
    seq,
    time,
    turnId,
    content: [],
    userId: 'usr_1',
  })
  const transcript = applyItems(emptyTranscript, [
    prompt(1, 't1'),
    { type: 'metadata', seq: 2, time, model: 'claude-x', generation: 1 },
    { type: 'status', seq: 3, time, status: 'running', reason: 'prompt' },
    prompt(4, 't2'),
    prompt(5, 't3'),
    { type: 'complete', seq: 6, time, turnId: 't1', result: 'success', reason: 'completed' },
  ])
  expect(transcript).toMatchObject({
    seq: 6,
    status: 'running',
    statusReason: 'prompt',
    model: 'claude-x',
    openTurns: ['t2', 't3'],
  })
})

test('a tool result is read as text whatever the tool gave', () => {
  expect(toolResultText('plain')).toBe('plain')
  expect(toolResultText([{ type: 'text', text: 'a' }, { type: 'image' }, { type: 'text', text: 'b' }])).toBe(
    'a\n[image]\nb',
  )
  expect(toolResultText(null)).toBe('')
  expect(toolResultText({ x: 1 })).toBe('{"x":1}')
})

/** A log whose blocks also came as deltas, cut anywhere and with two blocks growing at a time. */
const streams = fc
  .array(
    fc.record({
      text: fc.string({ minLength: 1, maxLength: 30, unit: 'binary' }),
      cuts: fc.array(fc.nat(30), { maxLength: 5 }),
    }),
    {
      maxLength: 8,
    },
  )
  .map((blocks) => {
    const log: Message[] = []
    const items: StreamItem[] = []
    const deltasOf = (index: number): Delta[] => {
      const { text, cuts } = blocks[index] ?? { text: '', cuts: [] }
      const points = [0, ...cuts.map((cut) => cut % text.length).toSorted((a, b) => a - b), text.length]
      return points.slice(1).map((end, position) => {
        const at = points[position] ?? 0
        return delta({ block: `b${index}`, after: log.length, at, text: text.slice(at, end) })
      })
    }
    for (let index = 0; index < blocks.length; index += 2) {
      const pair = [index, index + 1].filter((one) => one < blocks.length)
      const [first = [], second = []] = pair.map(deltasOf)
      for (let step = 0; step < Math.max(first.length, second.length); step += 1)
        for (const one of [first[step], second[step]]) if (one !== undefined) items.push(one)
      for (const one of pair.toReversed()) {
        const message: Message = {
          type: 'text',
          seq: log.length + 1,
          time,
          block: `b${one}`,
          text: blocks[one]?.text ?? '',
        }
        log.push(message)
        items.push(message)
      }
    }
    return { log, items }
  })

test('with deltas and without, repeated or not, one by one or at once, the transcript is the same', () => {
  fc.assert(
    fc.property(streams, fc.array(fc.nat(), { maxLength: 20 }), ({ log, items }, repeats) => {
      const again = new Set(repeats.map((repeat) => repeat % (items.length + 1)))
      let oneByOne = emptyTranscript
      for (const [index, item] of items.entries()) {
        oneByOne = applyItem(oneByOne, item)
        // Everything so far once more: a server may repeat, it may not leave out.
        if (again.has(index)) oneByOne = applyItems(oneByOne, items.slice(0, index + 1))
      }
      const fromLog = applyItems(emptyTranscript, log)
      expect(oneByOne).toEqual(fromLog)
      expect(applyItems(emptyTranscript, items)).toEqual(fromLog)
    }),
  )
})

test('an open block has exactly the text that was sent, however it was cut and repeated', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'binary' }), fc.array(fc.tuple(fc.nat(), fc.nat())), (text, cuts) => {
      let transcript = emptyTranscript
      let reached = 0
      for (const [from, to] of [...cuts, [0, text.length] as const]) {
        const at = from % (reached + 1)
        const end = Math.max(at, to % (text.length + 1))
        transcript = applyItem(transcript, delta({ at, text: text.slice(at, end) }))
        reached = Math.max(reached, end)
        expect(transcript.open[0]?.text).toBe(text.slice(0, reached))
      }
    }),
  )
})
