import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { apiKeyRecord, freshId, idOf, loginRecord, userRecord } from '../records.ts'

/** A database with one user. */
const openWithUser = async (open: OpenDatabase) => {
  const database = await open()
  const user = userRecord()
  await database.users.create(user)
  return { database, userId: user.id }
}

export const loginTests = (open: OpenDatabase): void => {
  test('a login is found by its family, and listed newest first', async () => {
    const { database, userId } = await openWithUser(open)
    await using _ = database
    const first = loginRecord({ id: idOf('lgn', 1), userId, agent: 'curl' })
    const second = loginRecord({ id: idOf('lgn', 2), userId })
    await database.logins.create(first)
    await database.logins.create(second)
    expect(await database.logins.findByFamily(first.familyHash)).toEqual(first)
    expect(await database.logins.findByFamily('unknown')).toBeUndefined()
    expect(await database.logins.list(userId)).toEqual([second, first])
    await expect(database.logins.create(loginRecord({ userId: freshId('usr') }))).rejects.toMatchObject({
      code: 'internal',
    })
    await expect(database.logins.create({ ...first, id: freshId('lgn') })).rejects.toMatchObject({ code: 'internal' })
  })

  test('of many who replace the same token one is first', async () => {
    const { database, userId } = await openWithUser(open)
    await using _ = database
    const login = loginRecord({ userId })
    await database.logins.create(login)
    const tries = await Promise.all(
      Array.from({ length: 20 }, (__, at) =>
        database.logins.rotate(login.id, login.tokenHash, { tokenHash: `next ${at}`, usedAt: 7, expiresAt: 8 }),
      ),
    )
    expect(tries.filter(Boolean)).toHaveLength(1)
    expect(await database.logins.findByFamily(login.familyHash)).toEqual({
      ...login,
      tokenHash: `next ${tries.indexOf(true)}`,
      usedAt: 7,
      expiresAt: 8,
    })
  })

  test('a revoked login is not listed, cannot go on, and is remembered until it has ended long enough', async () => {
    const { database, userId } = await openWithUser(open)
    await using _ = database
    const [gone, stays] = [loginRecord({ userId, expiresAt: 100 }), loginRecord({ userId, expiresAt: 100 })]
    await database.logins.create(gone)
    await database.logins.create(stays)
    await database.logins.revoke([], 4)
    await database.logins.revoke([gone.id], 5)
    await database.logins.revoke([gone.id, 'lgn_unknown'], 6)
    expect(await database.logins.list(userId)).toEqual([stays])
    expect(await database.logins.findByFamily(gone.familyHash)).toEqual({ ...gone, revokedAt: 5 })
    const next = { tokenHash: 'next', usedAt: 6, expiresAt: 200 }
    expect(await database.logins.rotate(gone.id, gone.tokenHash, next)).toBe(false)
    expect(await database.logins.listRevoked(99)).toEqual([gone.id])
    expect(await database.logins.listRevoked(100)).toEqual([])
    await database.logins.deleteEnded({ expiredAt: 99, revokedAt: 4 })
    expect(await database.logins.findByFamily(gone.familyHash)).toBeDefined()
    await database.logins.deleteEnded({ expiredAt: 99, revokedAt: 5 })
    expect(await database.logins.findByFamily(gone.familyHash)).toBeUndefined()
    expect(await database.logins.rotate(gone.id, gone.tokenHash, next)).toBe(false)
    expect(await database.logins.listRevoked(99)).toEqual([])
    expect(await database.logins.list(userId)).toEqual([stays])
    await database.logins.deleteEnded({ expiredAt: 100, revokedAt: 5 })
    expect(await database.logins.list(userId)).toEqual([])
  })
}

export const apiKeyTests = (open: OpenDatabase): void => {
  test('a key is found by its hash, listed newest first, and gone when deleted', async () => {
    const { database, userId } = await openWithUser(open)
    await using _ = database
    const first = apiKeyRecord({ id: idOf('key', 1), userId, expiresAt: 9 })
    const second = apiKeyRecord({ id: idOf('key', 2), userId, permissions: ['sessions.read', 'files.read'] })
    await database.apiKeys.create(first)
    await database.apiKeys.create(second)
    expect(await database.apiKeys.findByHash(second.keyHash)).toEqual(second)
    await database.apiKeys.noteUse(first.id, 5)
    expect(await database.apiKeys.list(userId)).toEqual([second, { ...first, lastUsedAt: 5 }])
    await database.apiKeys.delete(second.id)
    expect(await database.apiKeys.findByHash(second.keyHash)).toBeUndefined()
    await expect(database.apiKeys.create({ ...first, id: freshId('key') })).rejects.toMatchObject({ code: 'internal' })
  })
}

export const shareTests = (open: OpenDatabase): void => {
  test('a share is replaced by the next, listed from both sides, and gone when deleted', async () => {
    const { database, userId } = await openWithUser(open)
    await using _ = database
    const share = { targetId: idOf('ses', 1), userId, access: 'viewer', createdAt: 1 } as const
    const other = { ...share, targetId: idOf('wsp', 1) }
    await database.shares.put(other)
    await database.shares.put(share)
    expect(await database.shares.listFor(userId)).toEqual([share, other])
    await database.shares.put({ ...share, access: 'driver', createdAt: 2 })
    expect(await database.shares.listOf(share.targetId)).toEqual([{ ...share, access: 'driver' }])
    await database.shares.delete(share.targetId, userId)
    expect(await database.shares.listFor(userId)).toEqual([other])
    await database.shares.deleteOf(other.targetId)
    expect(await database.shares.listFor(userId)).toEqual([])
    await expect(database.shares.put({ ...share, userId: freshId('usr') })).rejects.toMatchObject({ code: 'internal' })
  })
}
