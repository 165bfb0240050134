import { randomBytes } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'

/** Values under secrets that work once and not for long. */
export type SingleUse<T> = {
  put(value: T): string
  take(secret: string): T | undefined
}

const maxOpen = 10_000

/** The oldest makes room for the newest when there are too many. */
export const createSingleUse = <T>(clock: Clock, lifeMs: number): SingleUse<T> => {
  const open = new Map<string, { value: T; until: number }>()
  return {
    put: (value) => {
      const now = clock.now()
      for (const [secret, { until }] of open) {
        if (until > now && open.size < maxOpen) break
        open.delete(secret)
      }
      const secret = randomBytes(24).toString('base64url')
      open.set(secret, { value, until: now + lifeMs })
      return secret
    },
    take: (secret) => {
      const found = open.get(secret)
      open.delete(secret)
      return found === undefined || found.until <= clock.now() ? undefined : found.value
    },
  }
}
