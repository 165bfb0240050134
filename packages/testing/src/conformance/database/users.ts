import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { apiKeyRecord, freshId, idOf, loginRecord, userRecord } from '../records.ts'

export const userTests = (open: OpenDatabase): void => {
  test('a user is found by id, and by name without case', async () => {
    await using database = await open()
    const record = userRecord({ username: 'Žofie', role: 'admin', mustChangePassword: true })
    await database.users.create(record)
    expect(await database.users.get(record.id)).toEqual(record)
    expect(await database.users.findByUsername('žOFIE')).toEqual(record)
    expect(await database.users.findByUsername('zofie')).toBeUndefined()
    expect(await database.users.get(freshId('usr'))).toBeUndefined()
  })

  test('a user of a provider is found by what the provider calls them, exactly', async () => {
    await using database = await open()
    const record = userRecord({ username: 'a', oidcId: 'https://id.example Ada' })
    await database.users.create(record)
    await database.users.create(userRecord({ username: 'b' }))
    await database.users.create(userRecord({ username: 'c' }))
    expect(await database.users.findByOidcId('https://id.example Ada')).toEqual(record)
    expect(await database.users.findByOidcId('https://id.example ada')).toBeUndefined()
  })

  test('a name is taken in every case', async () => {
    await using database = await open()
    await database.users.create(userRecord({ username: 'Žofie' }))
    await expect(database.users.create(userRecord({ username: 'žofie' }))).rejects.toMatchObject({
      code: 'user_exists',
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

  test('all are listed, oldest first', async () => {
    await using database = await open()
    const [first, second] = [
      userRecord({ id: idOf('usr', 1), username: 'a' }),
      userRecord({ id: idOf('usr', 2), username: 'b' }),
    ]
    await database.users.create(second)
    await database.users.create(first)
    expect(await database.users.list()).toEqual([first, second])
  })

  test('an update changes what it names, and is seen at once', async () => {
    await using database = await open()
    const record = userRecord()
    await database.users.create(record)
    await database.users.get(record.id)
    await database.users.update(record.id, { role: 'viewer' })
    expect(await database.users.get(record.id)).toEqual({ ...record, role: 'viewer' })
    await database.users.update(record.id, { disabledAt: 5, passwordHash: 'other', mustChangePassword: true })
    expect(await database.users.findByUsername(record.username)).toEqual({
      ...record,
      role: 'viewer',
      disabledAt: 5,
      passwordHash: 'other',
      mustChangePassword: true,
    })
    await database.users.update(record.id, { disabledAt: null, mustChangePassword: false })
    expect(await database.users.get(record.id)).toMatchObject({ disabledAt: null, mustChangePassword: false })
  })

  test('a user goes with logins, keys and shares, and the name is free again', async () => {
    await using database = await open()
    const [gone, stays] = [userRecord({ username: 'a' }), userRecord({ username: 'b' })]
    for (const user of [gone, stays]) {
      await database.users.create(user)
      await database.logins.create(loginRecord({ userId: user.id }))
      await database.apiKeys.create(apiKeyRecord({ userId: user.id }))
      await database.shares.put({ targetId: idOf('ses', 1), userId: user.id, access: 'viewer', createdAt: 1 })
    }
    await database.users.get(gone.id)
    await database.users.delete(gone.id)
    expect(await database.users.get(gone.id)).toBeUndefined()
    expect(await database.logins.list(gone.id)).toEqual([])
    expect(await database.apiKeys.list(gone.id)).toEqual([])
    expect(await database.shares.listFor(gone.id)).toEqual([])
    expect(await database.logins.list(stays.id)).toHaveLength(1)
    expect(await database.apiKeys.list(stays.id)).toHaveLength(1)
    expect(await database.shares.listOf(idOf('ses', 1))).toMatchObject([{ userId: stays.id }])
    await database.users.create(userRecord({ username: gone.username }))
  })
}
