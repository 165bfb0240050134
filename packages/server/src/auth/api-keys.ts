import { createHash, randomBytes } from 'node:crypto'
import type { ApiKey, Permission } from '@aicm/protocol'
import { LRUCache } from 'lru-cache'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import type { Log } from '../lib/log.ts'
import type { ApiKeyRecord, ApiKeyStore } from '../storage/api-key-store.ts'
import type { UserRecord } from '../storage/user-store.ts'
import type { AccessChanges } from './access-changes.ts'
import { authorize } from './authorize.ts'
import type { Identity } from './identity.ts'

export type ApiKeys = {
  /** Resolves with the key too, which nobody can show a second time. */
  create(
    user: UserRecord,
    wanted: { name: string; permissions: Permission[]; expiresAt?: string },
  ): Promise<ApiKey & { key: string }>
  list(userId: string): Promise<ApiKey[]>
  /** Rejects with key_not_found when it is not the user's. */
  delete(userId: string, id: string): Promise<void>
  /** Rejects with AppError unauthorized. */
  verify(key: string): Promise<Identity>
  isDeleted(id: string): boolean
}

const start = 'aicm_'
/** A key's use is noted once in so much time. */
const noteEveryMs = 60_000
const remembered = 10_000

/** Nothing else that is shown as a token begins so. */
export const looksLikeKey = (token: string): boolean => token.startsWith(start)

const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')

/** Letters and digits only: it is copied by a double click. */
const letters = (bytes: number): string => randomBytes(bytes).toString('hex')

const view = ({ id, name, prefix, permissions, createdAt, expiresAt, lastUsedAt }: ApiKeyRecord): ApiKey => ({
  ...{ id, name, prefix, permissions },
  createdAt: isoTime(createdAt),
  expiresAt: expiresAt === null ? null : isoTime(expiresAt),
  lastUsedAt: lastUsedAt === null ? null : isoTime(lastUsedAt),
})

const endOf = (text: string | undefined, now: number): number | null => {
  if (text === undefined) return null
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new AppError('invalid_request', `expiresAt is no time: ${text}.`)
  if (time <= now) throw new AppError('invalid_request', 'expiresAt is in the past.')
  return time
}

export const createApiKeys = (
  keys: ApiKeyStore,
  { changes, clock, log }: { changes: AccessChanges; clock: Clock; log: Log },
): ApiKeys => {
  const verified = new LRUCache<string, Identity>({ max: remembered })
  /** They are gone from the database, and may be in `verified`, or be looked up right now. */
  const deleted = new Set<string>()
  const noted = new Map<string, number>()

  const noteUse = (id: string): void => {
    const now = performance.now()
    const last = noted.get(id)
    if (last !== undefined && now - last < noteEveryMs) return
    noted.set(id, now)
    keys
      .noteUse(id, clock.now())
      .catch((error: unknown) => log.warn({ err: error, keyId: id }, 'the use of an API key could not be noted'))
  }

  const look = async (key: string): Promise<Identity> => {
    const record = await keys.findByHash(hashOf(key))
    if (record === undefined) throw new AppError('unauthorized', 'This API key does not exist.')
    return {
      userId: record.userId,
      grant: { kind: 'key', id: record.id, permissions: Object.freeze(record.permissions) },
      expiresAt: record.expiresAt ?? Infinity,
    }
  }

  return {
    create: async (user, { name, permissions, expiresAt }) => {
      const refused = permissions.find((permission) => authorize(user, permission) !== 'allow')
      if (refused !== undefined)
        throw new AppError('forbidden', `You may not do ${refused} yourself, so no key of yours may.`)
      if (permissions.includes('account.write'))
        throw new AppError('invalid_request', 'account.write is not for keys: no key changes its account.')
      const now = clock.now()
      const prefix = `${start}${letters(4)}`
      const key = `${prefix}_${letters(24)}`
      const record: ApiKeyRecord = {
        ...{ id: newId('key', now), userId: user.id, name, prefix, keyHash: hashOf(key), permissions },
        ...{ createdAt: now, expiresAt: endOf(expiresAt, now), lastUsedAt: null },
      }
      await keys.create(record)
      return { ...view(record), key }
    },
    list: async (userId) => (await keys.list(userId)).map(view),
    delete: async (userId, id) => {
      if (!(await keys.list(userId)).some((key) => key.id === id))
        throw new AppError('key_not_found', `You have no API key ${id}.`)
      deleted.add(id)
      noted.delete(id)
      changes.changed(userId)
      await keys.delete(id)
    },
    verify: async (key) => {
      const known = verified.get(key)
      const identity = known ?? (await look(key))
      if (known === undefined) verified.set(key, identity)
      if (identity.expiresAt <= clock.now()) throw new AppError('unauthorized', 'This API key has expired.')
      if (deleted.has(identity.grant.id)) throw new AppError('unauthorized', 'This API key was deleted.')
      noteUse(identity.grant.id)
      return identity
    },
    isDeleted: (id) => deleted.has(id),
  }
}
