import { randomBytes } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'

/** Values under secrets that work once and not for long. */
export type SingleUse<T> = {
  /** Of an owner's, his own oldest makes room when he has too many: he takes nobody else's. */
  put(value: T, owner?: string): string
  take(secret: string): T | undefined
}

const maxOpen = 10_000
const maxOfOwner = 500

/** The oldest makes room for the newest when there are too many. */
export const createSingleUse = <T>(clock: Clock, lifeMs: number): SingleUse<T> => {
  const open = new Map<string, { value: T; until: number; owner: string | undefined }>()
  const owned = new Map<string, Set<string>>()

  const remove = (secret: string): void => {
    const owner = open.get(secret)?.owner
    open.delete(secret)
    if (owner === undefined) return
    const others = owned.get(owner)
    others?.delete(secret)
    if (others?.size === 0) owned.delete(owner)
  }

  const makeRoom = (now: number, owner: string | undefined): void => {
    for (const [secret, { until }] of open) {
      if (until > now) break
      remove(secret)
    }
    const own = owner === undefined ? undefined : owned.get(owner)
    const [oldest] = own !== undefined && own.size >= maxOfOwner ? own : open.size >= maxOpen ? open.keys() : []
    if (oldest !== undefined) remove(oldest)
  }

  return {
    put: (value, owner) => {
      const now = clock.now()
      makeRoom(now, owner)
      const secret = randomBytes(24).toString('base64url')
      open.set(secret, { value, until: now + lifeMs, owner })
      if (owner !== undefined) owned.set(owner, (owned.get(owner) ?? new Set()).add(secret))
      return secret
    },
    take: (secret) => {
      const found = open.get(secret)
      remove(secret)
      return found === undefined || found.until <= clock.now() ? undefined : found.value
    },
  }
}
