import { LRUCache } from 'lru-cache'
import type { BucketLimit } from './token-bucket.ts'
import { fullBucket, takeTokens, type Bucket } from './token-bucket.ts'

/** A source that was blocked, for so long from now. */
export type Block = { source: string; ms: number }

/** Blocks who fails again and again: who guesses, or goes on after he was told to slow down. */
export type Guard = {
  /** Milliseconds for which nothing is done for this source; 0 when it is not blocked. */
  blockedMs(source: string): number
  /** It was answered 401, 404 or 429. */
  failed(source: string): void
  /** Who is blocked now. */
  blocks(): Block[]
  /** What a source may fail. Undefined: as much as it likes. */
  limit: BucketLimit | undefined
}

const firstMs = 5000
const growth = 4
const longestMs = 3_600_000
/** After so long without a block the last one is forgotten, and after as long again the one before. */
const forgetMs = 600_000
/** Sources that are remembered: those that failed last. */
const remembered = 10_000

type Source = { bucket: Bucket; strikes: number; until: number }

/** `now` is milliseconds of a clock that nobody sets. Without a limit nobody is blocked. */
export const createGuard = (options: {
  limit: BucketLimit | undefined
  now: () => number
  onBlock: (block: Block) => void
}): Guard => {
  const { limit, now } = options
  const sources = new LRUCache<string, Source>({ max: remembered })

  const leftMs = (source: Source | undefined): number => (source === undefined ? 0 : Math.max(0, source.until - now()))

  const block = (name: string, source: Source): void => {
    const time = now()
    const forgiven = source.strikes === 0 ? 0 : Math.floor((time - source.until) / forgetMs)
    const strikes = Math.max(0, source.strikes - forgiven)
    const ms = Math.min(longestMs, firstMs * growth ** strikes)
    // It begins again with all it may do: the next block takes as many failures, and lasts longer.
    sources.set(name, { bucket: fullBucket(time), strikes: strikes + 1, until: time + ms })
    options.onBlock({ source: name, ms })
  }

  return {
    limit,
    blockedMs: (name) => leftMs(sources.peek(name)),
    failed: (name) => {
      if (limit === undefined) return
      let source = sources.get(name)
      if (source === undefined) sources.set(name, (source = { bucket: fullBucket(now()), strikes: 0, until: 0 }))
      if (leftMs(source) > 0) return
      if (!takeTokens(source.bucket, limit, 1, now()).allowed) block(name, source)
    },
    blocks: () =>
      [...sources.entries()].map(([source, held]) => ({ source, ms: leftMs(held) })).filter(({ ms }) => ms > 0),
  }
}
