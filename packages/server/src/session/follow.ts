import type { Cursor, StreamItem } from '@aicm/protocol'
import type { EventStore, EventText } from '../storage/event-store.ts'
import type { Batch, Feed } from './feed.ts'

/**
 * Messages read from the log at a time: one at first, as each may be large, and more while they stay small. A reader that
 * stalls holds what was read for it, so `bytes` is about what it costs.
 */
const page = { first: 1, most: 500, bytes: 256 * 1024 }

const nextLimit = (limit: number, count: number, bytes: number): number =>
  Math.max(1, Math.min(page.most, limit * 4, Math.floor((count * page.bytes) / bytes)))

/** What was read from the log is passed on as it is, and parsed only for who looks into it. */
const pageOf = (stored: [EventText, ...EventText[]]): Batch => {
  let items: StreamItem[] | undefined
  const parse = ({ json }: EventText): StreamItem => JSON.parse(json)
  return {
    get items() {
      return (items ??= stored.map(parse))
    },
    last: parse(stored.at(-1) ?? stored[0]),
    json: `[${stored.map(({ json }) => json).join(',')}]`,
    live: false,
  }
}

/** To be iterated once. */
export type Batches = AsyncIterableIterator<Batch, void, void>

/**
 * An iterator that holds nothing of what it has given: a generator keeps its last value alive for as long as nobody asks for
 * the next, and of readers that stall there may be many.
 */
export const batchesOf = (next: () => Promise<Batch | undefined>, end: () => void = () => undefined): Batches => ({
  [Symbol.asyncIterator]() {
    return this
  },
  next: async () => {
    const value = await next()
    return value === undefined ? { done: true, value } : { done: false, value }
  },
  return: async () => {
    end()
    return { done: true, value: undefined }
  },
})

/**
 * A session's stream after a cursor, then what comes: the one way to read it, for live and late readers alike. It is pulled:
 * a reader that does not ask gets nothing and costs nothing; when the live ring has moved on, the log takes over. Every
 * durable message comes exactly once and in order; a growing block may be repeated from its beginning (`at` 0).
 * Ends when `signal` is aborted or the session is deleted.
 */
export const follow = ({
  events,
  feed,
  sessionId,
  after,
  signal,
}: {
  events: EventStore
  feed: Feed
  sessionId: string
  after: Cursor
  signal: AbortSignal
}): Batches => {
  let { seq } = after
  let limit = page.first
  /** In the live ring; undefined while the log is read. */
  let position: number | undefined
  let gone = false

  const fromLog = async (): Promise<Batch | undefined> => {
    // Stored is not yet published: what was, will come by the feed.
    const read = await events.readText({ sessionId, after: seq, limit })
    const [first, ...rest] = read.filter((event) => event.seq <= feed.lastSeq())
    // What was published is gone: the session is being deleted.
    gone = first === undefined
    if (first === undefined) return undefined
    const batch = pageOf([first, ...rest])
    seq = rest.at(-1)?.seq ?? first.seq
    limit = nextLimit(limit, 1 + rest.length, batch.json.length)
    return batch
  }

  const next = async (): Promise<Batch | undefined> => {
    while (!signal.aborted && !gone && !feed.ended()) {
      if (position === undefined) {
        // The log, until nothing that was published is missing.
        if (seq < feed.lastSeq()) return fromLog()
        // From here to the first wait nothing else runs: the growing blocks and the position belong together.
        position = feed.head()
        const growing = feed.snapshot()
        if (growing !== undefined) return growing
      }
      await feed.changed(position, signal)
      if (signal.aborted) return undefined
      const batch = feed.take(position)
      if (batch === undefined) {
        position = undefined
        continue
      }
      if (batch.items.length === 0) continue
      position = feed.head()
      for (const item of batch.items) if (item.type !== 'delta') seq = item.seq
      return batch
    }
    return undefined
  }
  return batchesOf(next)
}
