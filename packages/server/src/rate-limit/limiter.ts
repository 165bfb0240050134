import { LRUCache } from 'lru-cache'
import type { LimitClass, RateLimits } from '../config/limits.ts'
import { fullBucket, takeTokens, type Bucket, type Taken } from './token-bucket.ts'

/** Counts what somebody does, by class. Undefined: this class has no limit. */
export type RateLimiter = {
  /** A cost of more than a full bucket is that of a full one. */
  take(key: string, limitClass: LimitClass, cost: number): Taken | undefined | Promise<Taken | undefined>
}

/** Keys that are remembered. Whoever is forgotten begins with full buckets: it has been longest without a request. */
const remembered = 50_000

/** In the memory of this process. `now` is milliseconds of a clock that nobody sets. */
export const createMemoryLimiter = (limits: RateLimits, now: () => number) => {
  const buckets = new LRUCache<string, Partial<Record<LimitClass, Bucket>>>({ max: remembered })
  return {
    take: (key, limitClass, cost) => {
      const limit = limits[limitClass]
      if (limit === undefined) return undefined
      const time = now()
      let ofKey = buckets.get(key)
      if (ofKey === undefined) buckets.set(key, (ofKey = {}))
      return takeTokens((ofKey[limitClass] ??= fullBucket(time)), limit, Math.min(cost, limit.burst), time)
    },
  } satisfies RateLimiter
}
