import type { Cursor, Message, SlowPolicy, StreamItem } from '@aicm/protocol'
import { newRecord } from '@aicm/testing/session-record'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFeed, type Batch } from '../session/feed.ts'
import { batchesOf, follow, type Batches } from '../session/follow.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { deliver } from './deliver.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A session that speaks, one block after another. */
const openTalk = async () => {
  const { events, sessions } = openMemoryDatabase()
  let record = newRecord()
  await sessions.create(record)
  const feed = createFeed(0)
  let text = ''
  const block = () => `b${record.lastSeq + 1}`
  return {
    said: () => record.lastSeq,
    grow: (more: string): void => {
      const at = text.length
      text += more
      feed.publish([{ type: 'delta', after: record.lastSeq, block: block(), kind: 'text', at, text: more }])
    },
    end: async (): Promise<void> => {
      const message: Message = { type: 'text', seq: record.lastSeq + 1, time: '', block: block(), text }
      const next = { ...record, lastSeq: message.seq }
      await events.append({ record: next, expectedSeq: record.lastSeq, events: [message] })
      record = next
      text = ''
      feed.publish([message])
    },
    whole: (): Promise<Message[]> => events.read({ sessionId: record.id, after: 0, limit: 1_000_000 }),
    follow: (signal: AbortSignal) => (after: Cursor) => follow({ events, feed, sessionId: record.id, after, signal }),
  }
}

/** Some say when they have room, others take their time with what they are given. */
const readers = [{ hasRoom: true }, { hasRoom: false }]

/** A reader with room for one batch. While it stalls it takes nothing. */
const openReader = (hasRoom: boolean) => {
  const items: StreamItem[] = []
  const told: Cursor[] = []
  const texts = new Map<string, string>()
  let stalled: PromiseWithResolvers<void> | undefined
  let waiting = 0
  const take = (batch: Batch): void => {
    expect(JSON.parse(batch.json)).toEqual(batch.items)
    for (const item of batch.items) {
      items.push(item)
      if (item.type === 'delta') {
        const before = texts.get(item.block) ?? ''
        expect(item.at, 'no gap in a block').toBeLessThanOrEqual(before.length)
        texts.set(item.block, before.slice(0, item.at) + item.text)
      } else if (item.type === 'text') texts.set(item.block, item.text)
    }
  }
  return {
    items,
    told,
    texts,
    stall: () => (stalled ??= Promise.withResolvers()),
    goOn: () => {
      stalled?.resolve()
      stalled = undefined
      waiting = 0
    },
    reader: {
      ...(hasRoom && { room: () => stalled?.promise }),
      give: async (batch: Batch) => {
        const wait = stalled
        await wait?.promise
        take(batch)
        return wait !== undefined
      },
      push: (batch: Batch) => {
        if (stalled !== undefined) waiting += batch.json.length
        take(batch)
      },
      waiting: () => waiting,
      behind: (cursor: Cursor) => void told.push(cursor),
    },
  }
}

const begin = async (slow: SlowPolicy, hasRoom: boolean) => {
  const talk = await openTalk()
  const stop = new AbortController()
  const me = openReader(hasRoom)
  const ended = deliver({
    ...{ follow: talk.follow(stop.signal), after: { seq: 0 }, slow, signal: stop.signal },
    reader: me.reader,
  })
  await turn()
  const readTo = async (seq: number): Promise<void> => {
    await expect.poll(() => me.items.findLast((item) => item.type !== 'delta')?.seq).toBe(seq)
  }
  return { talk, me, ended, readTo, stop: () => stop.abort() }
}
const seqs = (items: StreamItem[]) => items.flatMap((item) => (item.type === 'delta' ? [] : [item.seq]))
const lines = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

test.each(readers)(
  'with `resume` a reader that falls out of the ring is told where, and reads on from the log (room: $hasRoom)',
  async ({ hasRoom }) => {
    const { talk, me, readTo, stop } = await begin('resume', hasRoom)
    talk.grow('seen')
    await expect.poll(() => me.items.length).toBe(1)
    me.stall()
    talk.grow(', on its way')
    await turn()
    for (let block = 0; block < 30; block++) {
      talk.grow('x'.repeat(50_000))
      await talk.end()
    }
    me.goOn()
    await readTo(30)
    expect(me.told).toEqual([{ seq: 0, block: 'b1', at: 'seen, on its way'.length }])
    expect(seqs(me.items)).toEqual(lines(30))
    talk.grow('live again')
    await expect.poll(() => me.texts.get('b31')).toBe('live again')
    stop()
  },
)

test.each(readers)(
  'with `resume` one item that is larger than the ring makes nobody slow (room: $hasRoom)',
  async ({ hasRoom }) => {
    const { talk, me, readTo, stop } = await begin('resume', hasRoom)
    talk.grow('x')
    await expect.poll(() => me.items.length).toBe(1)
    talk.grow('x'.repeat(2_000_000))
    await talk.end()
    await readTo(1)
    expect(me.told).toEqual([])
    stop()
  },
)

test.each(readers)(
  'with `drop-deltas` a slow reader gets whole messages only, until one is taken at once; then live text again (room: $hasRoom)',
  async ({ hasRoom }) => {
    const { talk, me, readTo, stop } = await begin('drop-deltas', hasRoom)
    talk.grow('seen')
    await expect.poll(() => me.items.length).toBe(1)
    me.stall()
    talk.grow(', on its way')
    await turn()
    // Far less than the ring holds.
    talk.grow('x'.repeat(100_000))
    me.goOn()
    await turn()
    talk.grow('not this')
    await talk.end()
    await readTo(1)
    expect(me.items.map((item) => (item.type === 'delta' ? item.text : item.seq))).toEqual(['seen', ', on its way', 1])
    talk.grow('live ')
    talk.grow('again')
    await expect.poll(() => me.texts.get('b2')).toBe('live again')
    expect(me.told).toEqual([])
    stop()
  },
)

test.each(readers)(
  'with `disconnect` it is not waited for, and cut off at what it was given when too much waits (room: $hasRoom)',
  async ({ hasRoom }) => {
    const { talk, me, ended, stop } = await begin('disconnect', hasRoom)
    for (let block = 0; block < 3; block++) await talk.end()
    await expect.poll(() => seqs(me.items)).toEqual(lines(3))
    me.stall()
    for (let block = 0; block < 8; block++) {
      talk.grow('x'.repeat(100_000))
      await talk.end()
      await turn()
      await turn()
    }
    const cursor = await ended
    expect(cursor).toEqual({ seq: me.items.findLast((item) => item.type !== 'delta')?.seq })
    expect(seqs(me.items)).toEqual(lines(cursor?.seq ?? 0))
    expect(cursor?.seq).toBeLessThan(8)
    stop()
  },
)

test.each(readers)(
  'with `disconnect` a reader of an old log is waited for: it is late, not slow (room: $hasRoom)',
  async ({ hasRoom }) => {
    const talk = await openTalk()
    for (let block = 0; block < 20; block++) {
      talk.grow('x'.repeat(100_000))
      await talk.end()
    }
    const stop = new AbortController()
    const me = openReader(hasRoom)
    me.stall()
    const ended = deliver({
      ...{ follow: talk.follow(stop.signal), after: { seq: 0 }, slow: 'disconnect', signal: stop.signal },
      reader: me.reader,
    })
    for (let wait = 0; wait < 20; wait++) await turn()
    expect(me.items).toEqual([])
    me.goOn()
    await expect.poll(() => seqs(me.items)).toEqual(lines(20))
    stop.abort()
    expect(await ended).toBeUndefined()
  },
)

test('nothing is read for one that has no room', async () => {
  const talk = await openTalk()
  const stop = new AbortController()
  const me = openReader(true)
  let pulled = 0
  const follow = (after: Cursor): Batches => {
    const batches = talk.follow(stop.signal)(after)
    return batchesOf(async () => {
      pulled++
      return (await batches.next()).value ?? undefined
    })
  }
  const ended = deliver({
    ...{ follow, after: { seq: 0 }, slow: 'resume', signal: stop.signal },
    reader: me.reader,
  })
  await talk.end()
  await expect.poll(() => seqs(me.items)).toEqual(lines(1))
  // What is said first it had asked for before it stalled.
  me.stall()
  await talk.end()
  await expect.poll(() => pulled).toBe(2)
  for (let block = 0; block < 5; block++) await talk.end()
  for (let wait = 0; wait < 20; wait++) await turn()
  expect(pulled).toBe(2)
  me.goOn()
  await expect.poll(() => seqs(me.items)).toEqual(lines(7))
  stop.abort()
  await ended
})

const pace = fc.array(
  fc.record({
    act: fc.constantFrom('grow', 'grow', 'end', 'stall', 'go on'),
    size: fc.oneof(fc.nat(20), fc.constant(40_000), fc.constant(400_000)),
    turns: fc.nat(3),
  }),
  { maxLength: 50 },
)

test.each(readers)(
  'at any pace, with each policy, every message comes once and in order, and no text has a hole (room: $hasRoom)',
  async ({ hasRoom }) => {
    await fc.assert(
      fc.asyncProperty(
        pace,
        fc.constantFrom<SlowPolicy>('resume', 'drop-deltas', 'disconnect'),
        async (acts, slow): Promise<void> => {
          const talk = await openTalk()
          const stop = new AbortController()
          const me = openReader(hasRoom)
          let after: Cursor = { seq: 0 }
          const reading = (async () => {
            while (true) {
              const cutOff = await deliver({
                ...{ follow: talk.follow(stop.signal), after, slow, signal: stop.signal },
                reader: me.reader,
              })
              if (cutOff === undefined) return
              // Cut off, it comes back with the cursor, and reads.
              me.goOn()
              after = cutOff
            }
          })()
          for (const { act, size, turns } of acts) {
            if (act === 'grow') talk.grow(String.fromCharCode(97 + (size % 26)).repeat(size + 1))
            if (act === 'end') await talk.end()
            if (act === 'stall') me.stall()
            if (act === 'go on') me.goOn()
            for (let wait = 0; wait < turns; wait++) await turn()
          }
          await talk.end()
          me.goOn()
          while (seqs(me.items).at(-1) !== talk.said()) await turn()
          stop.abort()
          await reading
          expect(seqs(me.items)).toEqual(lines(talk.said()))
          for (const message of await talk.whole())
            if (message.type === 'text') expect(me.texts.get(message.block)).toBe(message.text)
        },
      ),
      { numRuns: 100 },
    )
  },
)
