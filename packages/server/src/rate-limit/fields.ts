import type { LimitClass } from '../config/limits.ts'
import type { Taken } from './token-bucket.ts'

const seconds = (ms: number): number => Math.ceil(ms / 1000)

/** The two fields of draft-ietf-httpapi-ratelimit-headers: what the limit is, and what is left of it. */
export const rateLimitFields = (
  limitClass: LimitClass,
  { limit, windowMs, remaining, resetMs }: Omit<Taken, 'allowed' | 'retryAfterMs'>,
): Record<'ratelimit-policy' | 'ratelimit', string> => ({
  'ratelimit-policy': `"${limitClass}";q=${limit};w=${seconds(windowMs)}`,
  ratelimit: `"${limitClass}";r=${remaining};t=${seconds(resetMs)}`,
})
