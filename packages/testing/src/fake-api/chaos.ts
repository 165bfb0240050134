import type { StreamItem } from '@aicm/protocol'

/** Repeatable random numbers in [0, 1) (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** How badly the network and the server behave; each a probability per item. */
export type Chaos = {
  random: () => number
  /** The connection is cut, before or after the item. */
  cut: number
  /** The item comes again, or more of it than is new. */
  repeat: number
  /** The item is left out (never a `complete`, after which nothing would show it). */
  drop: number
  /** The item waits for the next one, to share its frame. */
  hold: number
}

/** What becomes of one item on its way out: what is sent instead, and whether the line is cut then. */
export const disturb = (
  chaos: Chaos | undefined,
  item: StreamItem,
  sent: StreamItem[],
  whole: (block: string) => string,
): { items: StreamItem[]; cut: boolean; hold: boolean } => {
  if (chaos === undefined) return { items: [item], cut: false, hold: false }
  const { random } = chaos
  if (random() < chaos.cut) return { items: random() < 0.5 ? [item] : [], cut: true, hold: false }
  if (item.type !== 'complete' && random() < chaos.drop) return { items: [], cut: false, hold: false }
  const items = [item]
  if (random() < chaos.repeat) {
    const earlier = sent[Math.floor(random() * sent.length)]
    if (earlier !== undefined) items.push(earlier)
    if (item.type === 'delta') {
      const at = Math.floor(random() * (item.at + 1))
      items[0] = { ...item, at, text: whole(item.block).slice(at, item.at + item.text.length) }
    }
  }
  return { items, cut: false, hold: item.type !== 'complete' && random() < chaos.hold }
}
