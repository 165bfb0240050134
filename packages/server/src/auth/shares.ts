import type { Access } from '@aicm/protocol'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../lib/clock.ts'
import type { ShareRecord, ShareStore } from '../storage/share-store.ts'
import type { AccessChanges } from './access-changes.ts'

export type Shares = {
  /** The most that a user was given of any of these. Of a session: it, and its workspace. */
  accessOf(userId: string, targetIds: string[]): Promise<Access | undefined>
  /** All that was given to a user, by the id of the session or workspace. */
  listFor(userId: string): Promise<ReadonlyMap<string, Access>>
  listOf(targetId: string): Promise<ShareRecord[]>
  put(share: { targetId: string; userId: string; access: Access }): Promise<ShareRecord>
  delete(targetId: string, userId: string): Promise<void>
  /** The session or workspace is gone. */
  forget(targetId: string): Promise<void>
}

const rememberedUsers = 10_000

export const createShares = (
  store: ShareStore,
  { changes, clock }: { changes: AccessChanges; clock: Clock },
): Shares => {
  const known = new LRUCache<string, Promise<ReadonlyMap<string, Access>>>({ max: rememberedUsers })

  const load = async (userId: string): Promise<ReadonlyMap<string, Access>> =>
    new Map((await store.listFor(userId)).map(({ targetId, access }) => [targetId, access]))

  const listFor: Shares['listFor'] = (userId) => {
    const remembered = known.get(userId)
    if (remembered !== undefined) return remembered
    const loading = load(userId)
    known.set(userId, loading)
    loading.catch(() => known.peek(userId) === loading && known.delete(userId))
    return loading
  }

  const changed = (userId: string): void => {
    known.delete(userId)
    changes.changed(userId)
  }

  return {
    accessOf: async (userId, targetIds) => {
      const shares = await listFor(userId)
      const given = targetIds.map((id) => shares.get(id))
      return given.includes('driver') ? 'driver' : given.find((access) => access !== undefined)
    },
    listFor,
    listOf: store.listOf,
    put: async (share) => {
      const record = { ...share, createdAt: clock.now() }
      await store.put(record)
      changed(share.userId)
      return record
    },
    delete: async (targetId, userId) => {
      await store.delete(targetId, userId)
      changed(userId)
    },
    forget: async (targetId) => {
      const shares = await store.listOf(targetId)
      if (shares.length === 0) return
      await store.deleteOf(targetId)
      for (const { userId } of shares) changed(userId)
    },
  }
}
