import { LRUCache } from 'lru-cache'
import { resourceNames, type ResourceLimitChanges, type ResourceLimits, type SessionLimits } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import type { ConfinementStore } from '../storage/confinement-store.ts'

/** What each process of a user's sessions may take of the machine. */
export type UserLimits = {
  of(userId: string): Promise<ResourceLimits>
  /** What differs from the server's. */
  changesOf(userId: string): Promise<ResourceLimitChanges>
  /** Replaces it. */
  set(userId: string, changes: ResourceLimitChanges): Promise<void>
  /** Rejects with limit_too_high where a session wants more than its user has. */
  assertWithin(userId: string, wanted: SessionLimits): Promise<void>
}

const remembered = 10_000

export const createUserLimits = (
  store: Pick<ConfinementStore, 'getLimits' | 'setLimits'>,
  defaults: ResourceLimits,
): UserLimits => {
  const known = new LRUCache<string, ResourceLimits>({ max: remembered })

  const of: UserLimits['of'] = async (userId) => {
    const found = known.get(userId)
    if (found !== undefined) return found
    const limits = { ...defaults, ...(await store.getLimits(userId)) }
    known.set(userId, limits)
    return limits
  }

  return {
    of,
    changesOf: async (userId) => (await store.getLimits(userId)) ?? {},
    set: async (userId, changes) => {
      await store.setLimits(userId, changes)
      known.delete(userId)
    },
    assertWithin: async (userId, wanted) => {
      const limits = await of(userId)
      for (const name of resourceNames) {
        const [limit, more] = [limits[name], wanted[name]]
        if (limit !== null && more !== undefined && more > limit)
          throw new AppError(
            'limit_too_high',
            `A session of yours may have ${name}=${limit}, and ${more} was asked for.`,
          )
      }
    },
  }
}
