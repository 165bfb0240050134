import { cursorAfter, type Cursor, type SlowPolicy } from '@aicm/protocol'
import type { Batch } from '../session/feed.ts'

/** In bytes. */
const budget = {
  /** So much that gathered while its reader had to be waited for makes a reader with `drop-deltas` a slow one. */
  gathered: 64 * 1024,
  /** So much may wait in the connection of a reader with `disconnect`, which is not waited for. */
  waiting: 512 * 1024,
}

/** One who reads a session's stream over a connection. */
export type Reader = {
  /** Hands it over once there is room. Gives back whether the reader had to be waited for. */
  give(batch: Batch): Promise<boolean> | boolean
  /** Hands it over at once. */
  push(batch: Batch): void
  /** Bytes handed over that it has not taken. */
  waiting(): number
  /** It has everything up to this cursor, and misses live text after it. */
  behind(cursor: Cursor): void
}

const wholeMessages = (batch: Batch): Batch => {
  // The log holds nothing else.
  if (!batch.live) return batch
  const items = batch.items.filter((item) => item.type !== 'delta')
  return { ...batch, items, last: items.at(-1), json: JSON.stringify(items) }
}

/**
 * Gives a reader the stream at the reader's own pace, and keeps to its policy when that is too slow. Nothing but a batch
 * waits here: what a slow reader has not taken lies in the ring that all readers share, later in the log. Resolves when the
 * stream ends; with a cursor when the reader is to be cut off there.
 */
export const deliver = async ({
  follow,
  after,
  slow,
  signal,
  reader,
}: {
  follow: (after: Cursor) => AsyncIterable<Batch>
  after: Cursor
  slow: SlowPolicy
  signal: AbortSignal
  reader: Reader
}): Promise<Cursor | undefined> => {
  let cursor = after
  let waited = false
  let wasLive = false
  /** It was live, and reads the log again without having been told so. */
  let left = false
  let wholeOnly = false

  /** Resolves to true when the live text is to begin again: deltas go on only behind others, or with all of their block. */
  const run = async (): Promise<boolean | Cursor> => {
    for await (const batch of follow(cursor)) {
      if (signal.aborted) return false
      // The ring has moved on. Where the reader was not waited for, that was one item larger than the ring.
      const overtaken = waited && wasLive && !batch.live
      if (overtaken && slow === 'resume') reader.behind(cursor)
      left = !batch.live && !overtaken && (left || wasLive)
      if (slow === 'drop-deltas' && waited && (overtaken || batch.json.length > budget.gathered)) wholeOnly = true
      wasLive = batch.live
      const part = wholeOnly ? wholeMessages(batch) : batch
      const { last } = part
      if (last === undefined) continue
      if (slow === 'disconnect' && batch.live) {
        if (reader.waiting() > budget.waiting) return cursor
        reader.push(part)
      } else {
        // There may be thousands of readers, and most have room: no promise for nothing.
        const given = reader.give(part)
        waited = typeof given === 'boolean' ? given : await given
      }
      cursor = cursorAfter(last)
      // What came at once was more than the ring holds; that the reader is slow too shows only now.
      if (left && waited) {
        left = false
        if (slow === 'disconnect') return cursor
        if (slow === 'resume') reader.behind(cursor)
      }
      if (wholeOnly && !waited) return true
    }
    return false
  }

  while (!signal.aborted) {
    const ended = await run()
    if (ended === false) return undefined
    if (ended !== true) return ended
    wholeOnly = false
  }
  return undefined
}
