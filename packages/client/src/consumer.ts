import type { Cursor, StreamItem } from '@aicm/protocol'
import type { QueueLimits } from './options.ts'
import { createReader } from './reader.ts'

/** One local reader of a session: its own position, and a bounded queue between the socket and whoever reads. */
export type Consumer = {
  cursor(): Cursor
  /** False while it is behind: it takes nothing from the wire until its queue is empty. */
  live(): boolean
  /** Offers an item of about `bytes`. 'gap': something before it is missing. */
  offer(item: StreamItem, bytes: number): 'taken' | 'known' | 'gap' | 'full'
  /** Ends it; what is queued is still read. With an error that error is thrown then, once. */
  end(error?: unknown): void
  /** Ends it and forgets what is queued. */
  stop(): void
  /** The next item; undefined at the end. */
  next(): Promise<StreamItem | undefined>
}

export const createConsumer = ({
  from,
  limits,
  onCaughtUp,
}: {
  from: Cursor
  limits: QueueLimits
  /** It was behind and its queue is empty now: subscribe it again from its cursor. */
  onCaughtUp: () => void
}): Consumer => {
  const reader = createReader(from)
  let queue: { item: StreamItem; bytes: number }[] = []
  let head = 0
  let bytes = 0
  let behind = false
  let ended: { error?: unknown } | undefined
  let wake: (() => void) | undefined

  const notify = () => {
    const waiting = wake
    wake = undefined
    waiting?.()
  }

  const shift = (): StreamItem | undefined => {
    const entry = queue[head]
    if (entry === undefined) return undefined
    head += 1
    bytes -= entry.bytes
    // Dropping the read part now and then keeps `shift` cheap and the memory bounded.
    if (head === queue.length || head >= 1024) {
      queue = queue.slice(head)
      head = 0
    }
    return entry.item
  }

  return {
    cursor: reader.cursor,
    live: () => !behind && ended === undefined,
    offer: (item, size) => {
      if (behind || ended !== undefined) return 'full'
      // An empty queue takes an item of any size, or a huge one could never pass.
      if (queue.length > head && (queue.length - head >= limits.items || bytes + size > limits.bytes)) {
        behind = true
        return 'full'
      }
      const news = reader.take(item)
      if (news === 'known' || news === 'gap') return news
      queue.push({ item: news, bytes: size })
      bytes += size
      notify()
      return 'taken'
    },
    end: (error) => {
      ended ??= { error }
      notify()
    },
    stop: () => {
      ended = {}
      queue = []
      head = 0
      bytes = 0
      notify()
    },
    next: async () => {
      while (true) {
        const item = shift()
        if (item !== undefined) return item
        if (ended !== undefined) {
          const { error } = ended
          ended = {}
          if (error !== undefined) throw error
          return undefined
        }
        if (behind) {
          behind = false
          onCaughtUp()
          continue
        }
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}
