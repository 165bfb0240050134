import type { Delta, Message } from '@aicm/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFeed } from './feed.ts'

const delta = (block: string, at: number, text: string): Delta => ({
  type: 'delta',
  after: 0,
  block,
  kind: 'text',
  at,
  text,
})
const whole = (seq: number, block: string, text: string): Message => ({ type: 'text', seq, time: '', block, text })
const note = (seq: number): Message => ({ type: 'system', seq, time: '', subtype: 'note' })
const never = new AbortController().signal

test('readers at one position share one batch and its JSON', () => {
  const feed = createFeed(0)
  feed.publish([note(1), delta('b', 0, 'x')])
  const batch = feed.take(0)
  expect(feed.take(0)).toBe(batch)
  expect(JSON.parse(batch?.json ?? '')).toEqual(batch?.items)
  expect(feed.take(1)?.items).toEqual([delta('b', 0, 'x')])
  expect(feed.take(feed.head())?.items).toEqual([])
})

test('deltas of a block that follow one another are read as one', () => {
  const feed = createFeed(0)
  feed.publish([delta('b', 0, 'one '), delta('b', 4, 'two ')])
  feed.publish([delta('b', 8, 'three')])
  feed.publish([delta('c', 0, 'other')])
  expect(feed.take(0)?.items).toEqual([delta('b', 0, 'one two three'), delta('c', 0, 'other')])
})

test('a reader that is too far behind is told so, and what fits is kept whole', () => {
  const feed = createFeed(0)
  for (let seq = 1; seq <= 40; seq++) feed.publish([whole(seq, `b${seq}`, 'x'.repeat(100_000))])
  expect(feed.take(0)).toBeUndefined()
  const reach = feed.take(feed.head() - 10)
  expect(reach?.items.map((item) => 'seq' in item && item.seq)).toEqual([31, 32, 33, 34, 35, 36, 37, 38, 39, 40])
  // Larger than the whole ring: even its own readers find it in the log.
  feed.publish([whole(41, 'huge', 'x'.repeat(2_000_000))])
  expect(feed.take(feed.head() - 1)).toBeUndefined()
  expect(feed.take(feed.head())?.items).toEqual([])
})

test('blocks that still grow are told with all of their text, until their message is there', () => {
  const feed = createFeed(7)
  feed.publish([delta('a', 0, 'he'), delta('b', 0, 'x'), delta('a', 2, 'llo')])
  expect(feed.snapshot()?.items).toEqual([
    { ...delta('a', 0, 'hello'), after: 7 },
    { ...delta('b', 0, 'x'), after: 7 },
  ])
  expect(feed.snapshot(), 'made once for all who come now').toBe(feed.snapshot())
  feed.publish([whole(8, 'a', 'hello')])
  expect(feed.snapshot()?.items).toEqual([{ ...delta('b', 0, 'x'), after: 8 }])
  feed.settle('b')
  expect(feed.snapshot()).toBeUndefined()
  expect(feed.lastSeq()).toBe(8)
})

test('what is rebuilt after a restart is not told again, but is there for who comes late', () => {
  const feed = createFeed(3)
  feed.track([delta('a', 0, 'seen '), delta('a', 5, 'before')])
  expect(feed.head()).toBe(0)
  expect(feed.snapshot()?.items).toMatchObject([{ at: 0, text: 'seen before' }])
})

test('a wait ends with the next item, with the end of the feed, or with its signal', async () => {
  const feed = createFeed(0)
  const woken = feed.changed(0, never)
  feed.publish([note(1)])
  await woken
  await feed.changed(0, never)
  const abort = new AbortController()
  const aborted = feed.changed(1, abort.signal)
  abort.abort()
  await aborted
  await feed.changed(1, abort.signal)
  const ended = feed.changed(1, never)
  feed.end()
  await ended
  await feed.changed(1, never)
  expect(feed.ended()).toBe(true)
})

test('much live text in a row wakes its readers a few times, and each reader gets all', async () => {
  const feed = createFeed(0)
  let position = 0
  let text = ''
  let wakes = 0
  const reader = (async () => {
    while (text.length < 500) {
      await feed.changed(position, never)
      const batch = feed.take(position)
      position = feed.head()
      for (const item of batch?.items ?? []) if (item.type === 'delta') text += item.text
      wakes++
    }
  })()
  for (let at = 0; at < 500; at++) {
    feed.publish([delta('b', at, String(at % 10))])
    await new Promise((resolve) => setImmediate(resolve))
  }
  await reader
  expect(text).toBe('0123456789'.repeat(50))
  expect(wakes).toBeLessThan(400)
})

test('wherever a reader stands, what it takes and what came before make the same stream', () => {
  const pieces = fc.array(fc.record({ block: fc.constantFrom('a', 'b'), text: fc.string({ maxLength: 5 }) }), {
    maxLength: 30,
  })
  fc.assert(
    fc.property(pieces, fc.nat(), (parts, cut) => {
      const feed = createFeed(0)
      const texts: Record<string, string> = { a: '', b: '' }
      for (const { block, text } of parts) {
        feed.publish([delta(block, texts[block]?.length ?? 0, text)])
        texts[block] += text
      }
      const position = cut % (feed.head() + 1)
      const seen: Record<string, string> = { a: '', b: '' }
      const late = createFeed(0)
      for (const { block, text } of parts.slice(0, position)) {
        late.publish([delta(block, seen[block]?.length ?? 0, text)])
        seen[block] += text
      }
      for (const item of feed.take(position)?.items ?? []) {
        if (item.type !== 'delta') continue
        expect(item.at).toBe(seen[item.block]?.length)
        seen[item.block] += item.text
      }
      expect(seen).toEqual(texts)
      for (const item of feed.snapshot()?.items ?? [])
        if (item.type === 'delta') expect(item.text).toBe(texts[item.block])
    }),
  )
})
