import type { Delta, StreamItem } from '@aicm/protocol'

/** A run of the stream, in order. Its JSON is made once, however many readers take it. */
export type Batch = {
  readonly items: StreamItem[]
  /** Of the items. */
  last: StreamItem | undefined
  json: string
  /** False when it was read from the log, for a reader that is not, or not any more, where the session is. */
  live: boolean
}

/**
 * The newest part of a session's stream, for readers that keep up: a ring with a byte budget. Readers pull by position;
 * nothing is kept for a reader, so a slow one costs nothing and finds its way back by the log.
 */
export type Feed = {
  /** The newest durable message that was published. */
  lastSeq(): number
  /** The position behind the newest item. */
  head(): number
  publish(items: StreamItem[]): void
  /** Everything from `position` to the head; undefined when the ring no longer reaches back that far. */
  take(position: number): Batch | undefined
  /** One delta with all the text of each block that is still growing; undefined when none is. */
  snapshot(): Batch | undefined
  /** Rebuilds the growing blocks without publishing: what a new server reads again was seen before. */
  track(items: StreamItem[]): void
  /** The block does not grow any more: what ended it was published before. */
  settle(block: string): void
  /** Resolves when there is more than `position`, when the feed ends, or on abort. */
  changed(position: number, signal: AbortSignal): Promise<void>
  ended(): boolean
  end(): void
}

const maxSize = 1024 * 1024
/**
 * Readers are woken at once, but not more often than this for long: then items gather. Where giving them to all readers takes
 * long it is done so much less often that everything else has most of the time. Only what somebody waits for, the end of a
 * turn or a question, waits for nothing.
 */
const wake = { burst: 8, leastMs: 6, mostMs: 50, timesTaken: 4 }

/** A ring that nothing was added to for so long is let go of: most sessions rest most of the time. */
const restMs = 5000

type Entry = { item: StreamItem; size: number }

/** About as many characters as its JSON, without making that: what waits for readers in the ring is held once, as it came. */
const sizeOf = (value: unknown): number => {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 4
  return Object.entries(value).reduce((sum, [key, part]) => sum + key.length + 6 + sizeOf(part), 2)
}

/** Neighbouring deltas of one block are one delta. */
const merge = (items: StreamItem[]): StreamItem[] => {
  const merged: StreamItem[] = []
  for (const item of items) {
    const last = merged.at(-1)
    if (
      item.type === 'delta' &&
      last?.type === 'delta' &&
      last.block === item.block &&
      last.at + last.text.length === item.at
    )
      merged[merged.length - 1] = { ...last, text: last.text + item.text }
    else merged.push(item)
  }
  return merged
}

const liveBatch = (items: StreamItem[]): Batch => ({
  items,
  last: items.at(-1),
  json: JSON.stringify(items),
  live: true,
})

export const createFeed = (initialSeq: number): Feed => {
  let lastSeq = initialSeq
  let ring: Entry[] = []
  let base = 0
  let size = 0
  let finished = false
  let batches = new Map<number, Batch>()
  const growing = new Map<string, Delta>()
  /** Of what grows, for all who come at this moment. */
  let grown: Batch | undefined
  const waiting = new Set<() => void>()
  let credit = wake.burst
  let credited = performance.now()
  let everyMs = wake.leastMs
  let soon: NodeJS.Immediate | undefined
  let later: NodeJS.Timeout | undefined

  let resting: NodeJS.Timeout | undefined
  let published = 0

  const head = (): number => base + ring.length

  const rest = (): void => {
    const waited = performance.now() - published
    if (waited < restMs) return watchRest(restMs - waited)
    resting = undefined
    base = head()
    ring = []
    size = 0
    batches = new Map()
    grown = undefined
  }

  const watchRest = (ms: number): void => {
    resting = setTimeout(rest, ms).unref()
  }

  const wakeAll = (): void => {
    clearTimeout(later)
    later = undefined
    soon = undefined
    const began = performance.now()
    for (const resolve of waiting) resolve()
    // Behind all that the readers do with it.
    setImmediate(() => {
      const taken = performance.now() - began
      everyMs = Math.min(wake.mostMs, Math.max(wake.leastMs, wake.timesTaken * taken))
    })
  }

  const scheduleWake = (urgent: boolean): void => {
    if (waiting.size === 0 || soon !== undefined || (later !== undefined && !urgent)) return
    const now = performance.now()
    credit = Math.min(wake.burst, credit + (now - credited) / everyMs)
    credited = now
    if (credit >= 1 || urgent) soon = setImmediate(wakeAll)
    else later = setTimeout(wakeAll, (1 - credit) * everyMs)
    credit -= 1
  }

  const track = (items: StreamItem[]): void => {
    grown = undefined
    for (const item of items) {
      if (item.type === 'delta') {
        const before = growing.get(item.block)
        growing.set(
          item.block,
          before === undefined ? item : { ...item, at: 0, text: before.text.slice(0, item.at) + item.text },
        )
      } else {
        lastSeq = Math.max(lastSeq, item.seq)
        if ('block' in item) growing.delete(item.block)
      }
    }
  }

  return {
    lastSeq: () => lastSeq,
    head,
    track,
    settle: (block) => {
      grown = undefined
      growing.delete(block)
    },
    publish: (raw) => {
      if (raw.length === 0) return
      const items = merge(raw)
      track(items)
      for (const item of items) {
        const entry = { item, size: sizeOf(item) }
        ring.push(entry)
        size += entry.size
      }
      let dropped = 0
      while (size > maxSize && dropped < ring.length) size -= ring[dropped++]?.size ?? 0
      if (dropped > 0) {
        ring = ring.slice(dropped)
        base += dropped
      }
      batches = new Map()
      published = performance.now()
      if (resting === undefined) watchRest(restMs)
      scheduleWake(items.some(({ type }) => type === 'complete' || type === 'status' || type === 'approval'))
    },
    take: (position) => {
      if (position < base) return undefined
      const cached = batches.get(position)
      if (cached !== undefined) return cached
      const batch = liveBatch(merge(ring.slice(position - base).map(({ item }) => item)))
      batches.set(position, batch)
      return batch
    },
    snapshot: () =>
      growing.size === 0
        ? undefined
        : (grown ??= liveBatch([...growing.values()].map((delta) => ({ ...delta, after: lastSeq })))),
    changed: (position, signal) =>
      new Promise((resolve) => {
        if (head() > position || finished || signal.aborted) return resolve()
        const settle = (): void => {
          waiting.delete(settle)
          signal.removeEventListener('abort', settle)
          resolve()
        }
        waiting.add(settle)
        signal.addEventListener('abort', settle)
      }),
    ended: () => finished,
    end: () => {
      finished = true
      wakeAll()
    },
  }
}
