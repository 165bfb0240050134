import type { Delta, Message, StreamItem } from '@aicm/protocol'
import { newRecord } from '@aicm/testing/session-record'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createFeed, type Feed } from './feed.ts'
import { follow } from './follow.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A session's log and feed, written as a session does: stored first, then published. */
const openStream = async () => {
  const { events, sessions } = openMemoryDatabase()
  let record = newRecord()
  await sessions.create(record)
  const feed = createFeed(0)
  const seq = (): number => record.lastSeq
  const store = async (...messages: Message[]): Promise<void> => {
    const next = { ...record, lastSeq: seq() + messages.length }
    await events.append({ record: next, expectedSeq: seq(), events: messages })
    record = next
  }
  return {
    feed,
    events,
    seq,
    store,
    say: async (...items: StreamItem[]): Promise<void> => {
      await store(...items.filter((item) => item.type !== 'delta'))
      feed.publish(items)
    },
    read: (after: number, signal: AbortSignal) =>
      follow({ events, feed, sessionId: record.id, after: { seq: after }, signal }),
    readBy: (other: Feed, signal: AbortSignal) =>
      follow({ events, feed: other, sessionId: record.id, after: { seq: 0 }, signal }),
  }
}

const grow = (after: number, block: string, at: number, text: string): Delta => ({
  type: 'delta',
  after,
  block,
  kind: 'text',
  at,
  text,
})
const whole = (seq: number, block: string, text: string): Message => ({
  type: 'text',
  seq,
  time: '2020-01-01T00:00:00.000Z',
  block,
  text,
})
const note = (seq: number): Message => ({ type: 'system', seq, time: '2020-01-01T00:00:00.000Z', subtype: 'note' })

/** What a client makes of a stream: messages by seq, and the text of blocks by putting each delta at its place. */
const createClient = () => {
  const blocks = new Map<string, string>()
  const client = {
    seq: 0,
    blocks,
    take: (items: readonly StreamItem[]): void => {
      for (const item of items) {
        if (item.type === 'delta') {
          const before = blocks.get(item.block) ?? ''
          expect(item.at, 'a gap in a block').toBeLessThanOrEqual(before.length)
          blocks.set(item.block, before.slice(0, item.at) + item.text)
        } else {
          expect(item.seq, 'the next message').toBe(client.seq + 1)
          client.seq = item.seq
          if (item.type !== 'text') continue
          // Cut off, it may have seen less of it, but nothing else.
          expect(item.text.startsWith(blocks.get(item.block) ?? '')).toBe(true)
          blocks.set(item.block, item.text)
        }
      }
    },
  }
  return client
}

type Happening = { kind: 'grow' | 'whole' | 'note' | 'rest'; block: number; size: number }

const happenings = fc.array(
  fc.record<Happening>({
    kind: fc.constantFrom('grow', 'grow', 'grow', 'whole', 'note', 'rest'),
    block: fc.nat(2),
    size: fc.oneof({ weight: 20, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.constant(400_000) }),
  }),
  { maxLength: 60 },
)
/** For each reader: how many batches until it is cut off, and how many turns of the loop it needs for each. */
const readers = fc.array(fc.record({ cutAfter: fc.integer({ min: 1, max: 12 }), slowness: fc.nat(6) }), {
  minLength: 1,
  maxLength: 4,
})

test('readers of any speed, cut off anywhere, end with the same text and every message once', async () => {
  await fc.assert(
    fc.asyncProperty(happenings, readers, async (happened, kinds) => {
      const stream = await openStream()
      const done = new AbortController()
      const clients = kinds.map(async ({ cutAfter, slowness }) => {
        const client = createClient()
        while (!done.signal.aborted) {
          let batches = 0
          for await (const { items, json } of stream.read(client.seq, done.signal)) {
            expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(items)))
            client.take(items)
            for (let wait = 0; wait < slowness; wait++) await turn()
            if (++batches === cutAfter) break
          }
          await turn()
        }
        return client
      })
      // A reader that fails says so at the end.
      const readersEnd = Promise.all(clients)
      readersEnd.catch(() => undefined)

      const texts = new Map<string, string>()
      const finished = new Map<string, string>()
      const names = ['a0', 'b0', 'c0']
      for (const { kind, block: index, size } of happened) {
        const block = names[index] ?? 'a0'
        const text = texts.get(block) ?? ''
        if (kind === 'rest') await turn()
        if (kind === 'note') await stream.say(note(stream.seq() + 1))
        if (kind === 'grow') {
          const more = String.fromCharCode(97 + (size % 26)).repeat(size)
          await stream.say(grow(stream.seq(), block, text.length, more))
          texts.set(block, text + more)
        }
        if (kind === 'whole') {
          await stream.say(whole(stream.seq() + 1, block, text))
          finished.set(block, text)
          texts.delete(block)
          names[index] = `${block.slice(0, 1)}${Number(block.slice(1)) + 1}`
        }
      }
      // The last message tells the readers that all is said.
      await stream.say(note(stream.seq() + 1))
      const last = createClient()
      for await (const { items } of stream.read(0, done.signal)) {
        last.take(items)
        if (last.seq === stream.seq() && [...texts].every(([block, text]) => last.blocks.get(block) === text)) break
      }
      for (let wait = 0; wait < 100; wait++) await turn()
      done.abort()
      for (const client of [last, ...(await readersEnd)]) {
        for (const [block, text] of finished)
          if (client.seq === stream.seq()) expect(client.blocks.get(block)).toBe(text)
      }
    }),
    { numRuns: 150 },
  )
})

test('a late reader gets the log, then what is growing, then what comes, without a seam', async () => {
  const stream = await openStream()
  await stream.say(note(1), whole(2, 'a', 'first'), grow(2, 'b', 0, 'se'), grow(2, 'b', 2, 'co'))
  const abort = new AbortController()
  const reader = stream.read(0, abort.signal)
  expect((await reader.next()).value?.items).toEqual([note(1)])
  expect((await reader.next()).value?.items).toEqual([whole(2, 'a', 'first')])
  expect((await reader.next()).value?.items).toEqual([grow(2, 'b', 0, 'seco')])
  await stream.say(grow(2, 'b', 4, 'nd'), whole(3, 'b', 'second'))
  expect((await reader.next()).value?.items).toEqual([grow(2, 'b', 4, 'nd'), whole(3, 'b', 'second')])
  const waiting = reader.next()
  abort.abort()
  expect(await waiting).toEqual({ done: true, value: undefined })
})

test('a reader that sleeps through more than the ring holds goes on by the log', async () => {
  const stream = await openStream()
  const abort = new AbortController()
  const client = createClient()
  const reader = stream.read(0, abort.signal)
  await stream.say(note(1))
  client.take((await reader.next()).value?.items ?? [])
  for (let seq = 2; seq <= 1500; seq++) await stream.say(whole(seq, `b${seq}`, 'x'.repeat(2000)))
  await stream.say(grow(1500, 'open', 0, 'grow'), grow(1500, 'open', 4, 'ing'))
  while (client.seq < 1500 || client.blocks.get('open') !== 'growing')
    client.take((await reader.next()).value?.items ?? [])
  await stream.say(grow(1500, 'open', 7, ' on'), whole(1501, 'open', 'growing on'))
  while (client.seq < 1501) client.take((await reader.next()).value?.items ?? [])
  expect(client.blocks.get('open')).toBe('growing on')
  abort.abort()
})

test('messages of all sizes come from the log whole and in order, and none of them as live', async () => {
  const stream = await openStream()
  const sizes = [10, 900_000, 10, 10, 200_000, 200_000, 10, 300_000, ...Array.from({ length: 700 }, () => 2000)]
  await stream.say(...sizes.map((size, index) => whole(index + 1, `b${index}`, 'x'.repeat(size))))
  const abort = new AbortController()
  const client = createClient()
  for await (const { items, json, live } of stream.read(0, abort.signal)) {
    expect(live).toBe(false)
    expect(json).toBe(JSON.stringify(items))
    client.take(items)
    if (client.seq === sizes.length) break
  }
  abort.abort()
})

test('what is stored but not yet published is left to the feed, and comes once', async () => {
  const stream = await openStream()
  await stream.say(note(1))
  const abort = new AbortController()
  await stream.store(note(2))
  const reader = stream.read(0, abort.signal)
  expect((await reader.next()).value?.items).toEqual([note(1)])
  const next = reader.next()
  stream.feed.publish([note(2)])
  expect((await next).value?.items).toEqual([note(2)])
  abort.abort()
})

test('readers that keep up are given the same batch', async () => {
  const stream = await openStream()
  const abort = new AbortController()
  const pending = Array.from({ length: 50 }, () => stream.read(0, abort.signal).next())
  await turn()
  await stream.say(note(1), note(2))
  const batches = await Promise.all(pending)
  expect(new Set(batches.map(({ value }) => value)).size).toBe(1)
  abort.abort()
})

test('the end of a session ends its readers, with all that was said', async () => {
  const stream = await openStream()
  const reader = Array.fromAsync(stream.read(0, new AbortController().signal))
  await turn()
  await stream.say(note(1))
  stream.feed.end()
  expect((await reader).flatMap(({ items }) => items)).toEqual([note(1)])
})

test('the log is read in few pages when messages are small, and in small ones when they are large', async () => {
  const stream = await openStream()
  await stream.say(...Array.from({ length: 2000 }, (_, at) => note(at + 1)))
  await stream.say(...Array.from({ length: 400 }, (_, at) => whole(2001 + at, `b${at}`, 'x'.repeat(200_000))))
  // As a new server finds it: nothing is in the ring.
  const done = new AbortController()
  const feed = createFeed(stream.seq())
  const sizes: number[] = []
  let seq = 0
  for await (const { items, json } of stream.readBy(feed, done.signal)) {
    for (const item of items) if (item.type !== 'delta') expect(item.seq).toBe(++seq)
    sizes.push(json.length)
    if (seq === stream.seq()) break
  }
  expect(sizes.filter((size) => size < 200_000).length).toBeLessThan(10)
  // The first large ones come in a page that was meant for small ones; then each comes alone.
  expect(sizes.slice(-40).every((size) => size < 300_000)).toBe(true)
})

test('a reader of a log that is gone comes to an end', async () => {
  const { feed, events } = await openStream()
  feed.publish([{ type: 'system', seq: 1, time: '', subtype: 'note' }])
  const stop = new AbortController()
  const stream = follow({ events, feed, sessionId: 'ses_gone', after: { seq: 0 }, signal: stop.signal })
  expect(await stream.next()).toEqual({ done: true, value: undefined })
})
