/** So many tokens at once, and so many a second after that. */
export type BucketLimit = { burst: number; refill: number }

/**
 * What a bucket lacks of being full, in thousandths of a token, at a time in milliseconds. Whole numbers stay whole: nothing
 * drifts, however long it is used.
 */
export type Bucket = { missing: number; at: number }

export type Taken = {
  allowed: boolean
  /** How often a full bucket gives as much. */
  limit: number
  /** How often this one still does. */
  remaining: number
  /** In which an empty bucket becomes full. */
  windowMs: number
  /** Until the bucket is full again. */
  resetMs: number
  /** Until the same could be taken; 0 when it was. Infinity when the bucket is never so full. */
  retryAfterMs: number
}

export const fullBucket = (now: number): Bucket => ({ missing: 0, at: now })

/** Takes `cost` tokens, or nothing when there are not so many. A clock that goes back takes nothing away and gives nothing. */
export const takeTokens = (bucket: Bucket, { burst, refill }: BucketLimit, cost: number, now: number): Taken => {
  if (now > bucket.at) bucket.missing = Math.max(0, bucket.missing - (now - bucket.at) * refill)
  bucket.at = now
  const size = burst * 1000
  const price = cost * 1000
  const wanted = bucket.missing + price
  const allowed = wanted <= size
  if (allowed) bucket.missing = wanted
  return {
    allowed,
    limit: Math.floor(size / price),
    remaining: Math.floor((size - bucket.missing) / price),
    windowMs: size / refill,
    resetMs: bucket.missing / refill,
    retryAfterMs: allowed ? 0 : cost > burst ? Number.POSITIVE_INFINITY : (wanted - size) / refill,
  }
}

/** Of two limits that which ends first. */
export const scarcer = (one: Taken | undefined, other: Taken | undefined): Taken | undefined =>
  one !== undefined && other !== undefined && one.remaining <= other.remaining ? one : (other ?? one)
