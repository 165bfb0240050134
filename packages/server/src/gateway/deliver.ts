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
  /**
   * Resolves when there is room; undefined when there is. Nothing is read for a reader before: what is read for one that stalls
   * would be held for as long. Left out where `give` resolves only when what it gave was taken.
   */
  room?(): Promise<void> | undefined
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
  follow: (after: Cursor) => AsyncIterable<Batch, void, void>
  after: Cursor
  slow: SlowPolicy
  signal: AbortSignal
  reader: Reader
}): Promise<Cursor | undefined> => {
  let cursor = after
  /** It had to be waited for since the batch before. */
  let stalled = false
  let wasLive = false
  /** The last batch was something for it. */
  let handed = false
  /** It was live, and reads the log again without having been told so. */
  let left = false
  let wholeOnly = false

  /** Resolves to undefined when it goes on, else as `run`. In a function of its own, which holds the batch no longer than it runs. */
  const pass = async (batches: AsyncIterator<Batch, void, void>): Promise<false | Cursor | undefined> => {
    const batch = (await batches.next()).value ?? undefined
    if (batch === undefined || signal.aborted) return false
    // The ring has moved on. Where the reader was not waited for, that was one item larger than the ring.
    const overtaken = stalled && wasLive && !batch.live
    if (overtaken && slow === 'resume') reader.behind(cursor)
    left = !batch.live && !overtaken && (left || wasLive)
    if (slow === 'drop-deltas' && stalled && (overtaken || batch.json.length > budget.gathered)) wholeOnly = true
    wasLive = batch.live
    const part = wholeOnly ? wholeMessages(batch) : batch
    const { last } = part
    handed = false
    if (last === undefined) return undefined
    const waited = stalled
    stalled = false
    if (slow === 'disconnect' && batch.live) {
      if (reader.waiting() > budget.waiting) return cursor
      reader.push(part)
    } else {
      // There may be thousands of readers, and most have room: no promise for nothing.
      const given = reader.give(part)
      stalled = typeof given === 'boolean' ? given : await given
    }
    handed = true
    cursor = cursorAfter(last)
    // What came at once was more than the ring holds; that the reader is slow too shows only now.
    if (left && (waited || stalled)) {
      left = false
      if (slow === 'disconnect') return cursor
      if (slow === 'resume') reader.behind(cursor)
    }
    return undefined
  }

  /** Resolves to true when the live text is to begin again: deltas go on only behind others, or with all of their block. */
  const run = async (): Promise<boolean | Cursor> => {
    const batches = follow(cursor)[Symbol.asyncIterator]()
    try {
      while (true) {
        // Who is cut off for being slow is not waited for.
        const room = slow === 'disconnect' && wasLive ? undefined : reader.room?.()
        if (room !== undefined) {
          await room
          stalled = true
        } else if (wholeOnly && handed && !stalled) return true
        if (signal.aborted) return false
        const ended = await pass(batches)
        if (ended !== undefined) return ended
      }
    } finally {
      await batches.return?.()
    }
  }

  while (!signal.aborted) {
    const ended = await run()
    if (ended === false) return undefined
    if (ended !== true) return ended
    wholeOnly = false
  }
  return undefined
}
