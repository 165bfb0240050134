import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { freshId, userRecord } from '../records.ts'

export const userTests = (open: OpenDatabase): void => {
  test('a user is found by id, and by name without case', async () => {
    await using database = await open()
    const record = userRecord({ username: 'Žofie', role: 'admin' })
    await database.users.create(record)
    expect(await database.users.get(record.id)).toEqual(record)
    expect(await database.users.findByUsername('žOFIE')).toEqual(record)
    expect(await database.users.findByUsername('zofie')).toBeUndefined()
    expect(await database.users.get(freshId('usr'))).toBeUndefined()
  })

  test('a name is taken in every case', async () => {
    await using database = await open()
    await database.users.create(userRecord({ username: 'Žofie' }))
    await expect(database.users.create(userRecord({ username: 'žofie' }))).rejects.toMatchObject({
      code: 'invalid_request',
    })
    expect(await database.users.count()).toBe(1)
  })

  test('users are counted', async () => {
    await using database = await open()
    expect(await database.users.count()).toBe(0)
    await database.users.create(userRecord({ username: 'a' }))
    await database.users.create(userRecord({ username: 'b' }))
    expect(await database.users.count()).toBe(2)
  })

  test('a refresh token is stored once, for a user who exists', async () => {
    await using database = await open()
    const user = userRecord()
    await database.users.create(user)
    const token = { tokenHash: 'ab12', familyId: 'f', userId: user.id, createdAt: 1, expiresAt: 2 }
    await database.users.saveRefreshToken(token)
    await expect(database.users.saveRefreshToken(token)).rejects.toMatchObject({ code: 'internal' })
    await expect(
      database.users.saveRefreshToken({ ...token, tokenHash: 'cd34', userId: freshId('usr') }),
    ).rejects.toMatchObject({
      code: 'internal',
    })
  })
}
