import type { Cursor, Message, StreamItem } from '@aicm/protocol'
import type { EventStore } from '../storage/event-store.ts'
import type { Batch, Feed } from './feed.ts'

/** Messages read from the log at a time, at first and at most, and about how much of their JSON a reader is given at a time. */
const page = { first: 16, most: 500, bytes: 256 * 1024 }

const batchOf = (items: StreamItem[]): Batch => ({
  items,
  json: `[${items.map((item) => JSON.stringify(item)).join(',')}]`,
  live: true,
})

/** The beginning of what was read, at least one message: a reader that stalls holds no more than that. */
const pageOf = (messages: [Message, ...Message[]]): { batch: Batch; seq: number } => {
  const json: string[] = []
  let bytes = 0
  let [{ seq }] = messages
  for (const message of messages) {
    const text = JSON.stringify(message)
    if (json.length > 0 && bytes + text.length > page.bytes) break
    json.push(text)
    bytes += text.length
    seq = message.seq
  }
  return { batch: { items: messages.slice(0, json.length), json: `[${json.join(',')}]`, live: false }, seq }
}

/**
 * A session's stream after a cursor, then what comes: the one way to read it, for live and late readers alike. It is pulled:
 * a reader that does not ask gets nothing and costs nothing; when the live ring has moved on, the log takes over. Every
 * durable message comes exactly once and in order; a growing block may be repeated from its beginning (`at` 0).
 * Ends when `signal` is aborted or the session is deleted.
 */
export async function* follow({
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
}): AsyncGenerator<Batch, void, void> {
  // Apart, so that a reader that stalls in the middle of a page does not hold all that was read for it.
  const readPage = async (from: number, limit: number): Promise<{ batch: Batch; seq: number } | undefined> => {
    // Stored is not yet published: what was, will come by the feed.
    const stored = (await events.read({ sessionId, after: from, limit })).filter(({ seq }) => seq <= feed.lastSeq())
    const [first, ...rest] = stored
    return first && pageOf([first, ...rest])
  }

  let { seq } = after
  let limit = page.first
  while (!signal.aborted && !feed.ended()) {
    // The log, until nothing that was published is missing.
    while (seq < feed.lastSeq() && !signal.aborted) {
      const read = await readPage(seq, limit)
      if (read === undefined) break
      seq = read.seq
      // As many as are likely to fit: what does not is read in vain.
      const taken = read.batch.items.length
      limit = taken < limit ? taken : Math.min(page.most, 2 * taken)
      yield read.batch
    }
    if (seq < feed.lastSeq()) continue

    // From here to the first wait nothing else runs: the growing blocks and the position belong together.
    let position = feed.head()
    const growing = feed.snapshot()
    if (growing.length > 0) yield batchOf(growing)

    while (!signal.aborted && !feed.ended()) {
      await feed.changed(position, signal)
      if (signal.aborted) return
      const batch = feed.take(position)
      if (batch === undefined) break
      if (batch.items.length === 0) continue
      position = feed.head()
      for (const item of batch.items) if (item.type !== 'delta') seq = item.seq
      yield batch
    }
  }
}
