import { LRUCache } from 'lru-cache'
import type { Identity } from '../auth/identity.ts'
import type { LimitClass } from '../config/limits.ts'
import { AppError } from '../lib/app-error.ts'
import { rateLimitFields } from '../rate-limit/fields.ts'
import type { Guard } from '../rate-limit/guard.ts'
import type { RateLimiter } from '../rate-limit/limiter.ts'
import { sourceOf } from '../rate-limit/networks.ts'
import { scarcer, type Taken } from '../rate-limit/token-bucket.ts'

/** Who was authenticated: a user, perhaps by an API key, which is then counted by itself too. */
export type Counted = { userId: string; keyId?: string | undefined }

/** How much somebody may ask. All throw too_many_requests with the time to wait. */
export type RequestLimits = {
  /**
   * Before anything is done for a request. `credential` is its Authorization header, if it has one: where that was good a
   * moment ago the user's own limit counts instead, and whoever shares the address is not harmed by a neighbour. Resolves with
   * what is left to the address; undefined: it was not counted.
   */
  ofAddress(address: string, limitClass: LimitClass, credential?: string): Promise<Taken | undefined>
  /**
   * When it is known who asks. Resolves with what is left to them, of a key's limit or its owner's that which ends first;
   * undefined: as much as they like.
   */
  ofCaller(caller: Counted, limitClass: LimitClass, credential?: string): Promise<Taken | undefined>
  /** A request was answered 401, 404 or 429: without a caller it is held against its address. */
  failed(address: string, caller: Counted | undefined, credential?: string): void
  /** Throws when this address is blocked. */
  assertNotBlocked(address: string): void
  isBlocked(caller: Counted): boolean
  /** Who is blocked now. */
  blocked(): { source: string; seconds: number }[]
}

/** An address may be an office: it has as much as so many users. */
const usersOfAddress = 5
/** A key has as much as one of so many parts of its owner: a program that runs away leaves the rest to the owner's page. */
const partsOfUser = 2
/** Credentials that were good when they were last looked at. */
const remembered = 10_000

const mostShown = 100
const uncounted = Promise.resolve(undefined)

const seconds = (ms: number): number => (Number.isFinite(ms) ? Math.max(1, Math.ceil(ms / 1000)) : 3600)

/** What a guesser gets to hear, and who does not listen. */
export const isHeldAgainst = (error: AppError): boolean =>
  error.status === 401 || error.status === 404 || error.code === 'too_many_requests'

/** An API key is counted by itself, and for its owner. */
export const countedCaller = ({ userId, grant }: Identity): Counted =>
  grant.kind === 'key' ? { userId, keyId: grant.id } : { userId }

const nameOf = ({ userId, keyId }: Counted): string => (keyId === undefined ? `user ${userId}` : `key ${keyId}`)

export const createRequestLimits = (limiter: RateLimiter, guard: Guard): RequestLimits => {
  const good = new LRUCache<string, true>({ max: remembered })

  const fieldsOfBlock = (ms: number): Record<string, string> => {
    if (guard.limit === undefined) return {}
    const { burst, refill } = guard.limit
    const block = { limit: burst, windowMs: (burst * 1000) / refill, remaining: 0, resetMs: ms }
    return rateLimitFields('failure', block)
  }

  const refuseBlocked = (source: string): void => {
    const ms = guard.blockedMs(source)
    if (ms > 0)
      throw new AppError('too_many_requests', 'Too many requests from here were refused: none is served for a while.', {
        retryAfter: seconds(ms),
        headers: fieldsOfBlock(ms),
      })
  }

  const assertAllowed = (taken: Taken | undefined, whose: string, limitClass: LimitClass): void => {
    if (taken === undefined || taken.allowed) return
    throw new AppError(
      'too_many_requests',
      `Too many requests from this ${whose} (${limitClass}: ${taken.limit} at once).`,
      {
        retryAfter: seconds(taken.retryAfterMs),
        headers: rateLimitFields(limitClass, taken),
      },
    )
  }

  const assertNotBlocked = (address: string): void => refuseBlocked(sourceOf(address))

  const countAddress = async (address: string, limitClass: LimitClass): Promise<Taken | undefined> => {
    const source = sourceOf(address)
    refuseBlocked(source)
    const taken = await limiter.take(source, limitClass, 1 / usersOfAddress)
    assertAllowed(taken, 'address', limitClass)
    return taken
  }

  return {
    ofAddress: (address, limitClass, credential) =>
      credential !== undefined && good.has(credential) ? uncounted : countAddress(address, limitClass),
    ofCaller: async (caller, limitClass, credential) => {
      if (credential !== undefined && !good.has(credential)) good.set(credential, true)
      refuseBlocked(nameOf(caller))
      // First: what is refused to a key takes nothing from its owner.
      const ofKey = caller.keyId === undefined ? undefined : await limiter.take(nameOf(caller), limitClass, partsOfUser)
      assertAllowed(ofKey, 'API key', limitClass)
      const ofUser = await limiter.take(`user ${caller.userId}`, limitClass, 1)
      assertAllowed(ofUser, 'user', limitClass)
      return scarcer(ofKey, ofUser)
    },
    failed: (address, caller, credential) => {
      if (caller === undefined && credential !== undefined) good.delete(credential)
      guard.failed(caller === undefined ? sourceOf(address) : nameOf(caller))
    },
    assertNotBlocked,
    blocked: () =>
      guard
        .blocks()
        .slice(0, mostShown)
        .map(({ source, ms }) => ({ source, seconds: seconds(ms) })),
    isBlocked: (caller) => guard.blockedMs(nameOf(caller)) > 0,
  }
}
