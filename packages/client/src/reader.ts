import type { Cursor, Delta, StreamItem } from '@aicm/protocol'

/**
 * What one reader of a session has seen, to the character. It makes "at least once, from some earlier point" of the
 * wire into "exactly once, in order".
 */
export type Reader = {
  cursor(): Cursor
  /**
   * The part of `item` that is new to this reader; 'known' when there is none; 'gap' when something before it is
   * missing, and then the reader has not moved.
   */
  take(item: StreamItem): StreamItem | 'known' | 'gap'
}

/** How many ended blocks are remembered, to tell a late repetition of their deltas from a new block. */
const closedBlocks = 1000

export const createReader = (from: Cursor): Reader => {
  let seq = from.seq
  const open = new Map<string, { length: number; turnId: string | undefined }>()
  const closed = new Set<string>()
  if (from.block !== undefined) open.set(from.block, { length: from.at ?? 0, turnId: undefined })

  const takeDelta = (delta: Delta): Delta | 'known' | 'gap' => {
    if (closed.has(delta.block)) return 'known'
    if (delta.after > seq) return 'gap'
    const block = open.get(delta.block)
    const length = block?.length ?? 0
    const end = delta.at + delta.text.length
    if (delta.at > length) return 'gap'
    if (block !== undefined && end <= length) return 'known'
    open.set(delta.block, { length: end, turnId: delta.turnId })
    return delta.at === length ? delta : { ...delta, at: length, text: delta.text.slice(length - delta.at) }
  }

  const close = (block: string) => {
    open.delete(block)
    closed.add(block)
    if (closed.size <= closedBlocks) return
    for (const oldest of closed) {
      closed.delete(oldest)
      break
    }
  }

  return {
    cursor: () => {
      // One block fits into a cursor: the longest saves most. The others come again whole and are trimmed here.
      let best: { block: string; at: number } | undefined
      for (const [block, { length }] of open)
        if (length > (best?.at ?? 0) && /^[^:\s]+$/.test(block)) best = { block, at: length }
      return { seq, ...best }
    },
    take: (item) => {
      if (item.type === 'delta') return takeDelta(item)
      if (item.seq <= seq) return 'known'
      if (item.seq > seq + 1) return 'gap'
      seq = item.seq
      if ('block' in item) close(item.block)
      if (item.type === 'complete')
        for (const [block, { turnId }] of open) if (turnId !== undefined && turnId === item.turnId) close(block)
      return item
    },
  }
}
