import { completeMessage, promptMessage, textMessage } from '@aicm/testing/conformance'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Said } from '../claude/read-transcript.ts'
import { continuationText } from '../session/cut-off.ts'
import { append, closeTurns, fillGaps, mergeTellings } from './conversation.ts'

const time = '2026-03-01T12:00:00.000Z'
const said = (text: string, turnId = 't1'): Said => ({ draft: { type: 'text', block: `x${text}`, text }, turnId, time })
const prompt = (turnId: string, text = 'Hello'): Said => ({
  draft: { type: 'prompt', content: [{ type: 'text', text }], userId: 'usr_1' },
  turnId,
  time,
})
const text = (seq: number, words: string) => ({ ...textMessage(seq, words), turnId: 't1' })
const words = (events: { type: string }[]): unknown[] =>
  events.map((event) => ('text' in event ? event.text : `(${event.type})`))

test('a gap is filled with what was said between its neighbours, and what is unknown is marked', () => {
  const events = [promptMessage(1, 't1'), text(2, 'one'), text(6, 'four'), completeMessage(8, 't1')]
  const whole = fillGaps(events, 9, [prompt('t1'), said('one'), said('two'), said('three'), said('four'), said('five')])
  expect(words(whole.events)).toEqual([
    '(prompt)',
    'one',
    'two',
    'three',
    '(system)',
    'four',
    'five',
    '(complete)',
    '(system)',
  ])
  expect(whole.events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect([whole.filled, whole.lost, whole.rest]).toEqual([3, 2, []])
  expect(whole.events[2]).toMatchObject({ turnId: 't1', time })
})

test('what is said behind the last event is given back', () => {
  expect(fillGaps([text(1, 'one')], 1, [said('one'), said('two')]).rest).toEqual([said('two')])
})

test('events that are there stay as they are and where they are, whatever else is told', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 30 })),
      fc.array(fc.integer({ min: 1, max: 40 })),
      fc.integer({ min: 0, max: 5 }),
      (seqs, told, more) => {
        const events = seqs.sort((a, b) => a - b).map((seq) => text(seq, `${seq}`))
        const lastSeq = Math.max(0, ...seqs) + more
        const telling = told.map((seq) => said(`${seq}`))
        const whole = fillGaps(events, lastSeq, telling)
        expect(whole.events.map(({ seq }) => seq)).toEqual(Array.from({ length: lastSeq }, (_, at) => at + 1))
        for (const event of events) expect(whole.events[event.seq - 1]).toBe(event)
        expect(events.length + whole.filled + whole.lost).toBe(lastSeq)
      },
    ),
  )
})

test('two tellings become one, in the order of the first', () => {
  const merged = mergeTellings(
    [prompt('t1'), said('one'), said('two'), prompt('t2'), said('three', 't2')],
    [said('zero', 't0'), prompt('t1', '(lost)'), said('two'), said('more'), prompt('t2'), said('last', 't2')],
  )
  expect(words(merged.map(({ draft }) => draft))).toEqual([
    'zero',
    '(prompt)',
    'one',
    'two',
    'more',
    '(prompt)',
    'last',
    'three',
  ])
  expect(merged[1]).toEqual(prompt('t1'))
})

test('a turn is asked once, and what goes on with it is no prompt', () => {
  const merged = mergeTellings([prompt('t1'), prompt('t1'), prompt('t2', continuationText)], [prompt('t2')])
  expect(merged).toEqual([prompt('t1')])
})

test('every prompt gets an end, except the one that runs', () => {
  const events = append([], [prompt('t1'), said('one'), prompt('t2'), prompt('t3')])
  const closed = closeTurns(events, 't3')
  expect(closed.slice(4)).toMatchObject([
    { type: 'complete', seq: 5, turnId: 't1', result: 'interrupted', reason: 'recovered' },
    { type: 'complete', seq: 6, turnId: 't2' },
  ])
  expect(closeTurns(closed, 't3')).toEqual(closed)
})
