import { expect, test } from 'vitest'
import { createAuth, type AuthStorage, type Login } from './auth.ts'

const memory = (): AuthStorage => {
  const map = new Map<string, string>()
  return {
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => void map.set(key, value),
    removeItem: (key) => void map.delete(key),
  }
}
/** A tab of a browser that has no locks. */
const tab = (storage: AuthStorage) => createAuth({ storage, locks: undefined })
const login: Login = {
  username: 'admin',
  mustChangePassword: false,
  withoutPassword: true,
  ...{ accessToken: 'a', refreshToken: 'r', expiresAt: 1 },
}

test('a log-in survives a reload of the tab, and is that of the other tabs', async () => {
  const storage = memory()
  const other = tab(storage)
  await tab(storage).set(login)
  expect(tab(storage).current()).toEqual(login)
  expect(await other.tokens.read()).toEqual(login)
  expect(other.current()).toEqual(login)
})

test('clearing it tells the listeners once and leaves nothing behind', async () => {
  const storage = memory()
  const auth = tab(storage)
  await auth.set(login)
  let calls = 0
  auth.subscribe(() => calls++)
  auth.clear()
  auth.clear()
  expect(calls).toBe(1)
  expect(tab(storage).current()).toBeUndefined()
})

test('that the password must be changed outlives new tokens, and all tabs are told when it is', async () => {
  const storage = memory()
  const auth = tab(storage)
  await auth.set({ ...login, mustChangePassword: true })
  await auth.tokens.write({ accessToken: 'b', refreshToken: 's', expiresAt: 2 })
  expect(tab(storage).current()).toMatchObject({ mustChangePassword: true, accessToken: 'b' })
  let calls = 0
  auth.subscribe(() => calls++)
  await tab(storage).passwordChanged()
  await auth.tokens.read()
  expect(calls).toBe(1)
  expect(auth.current()).toMatchObject({ mustChangePassword: false, accessToken: 'b' })
})

test('new tokens tell nobody, another user does', async () => {
  const storage = memory()
  const auth = tab(storage)
  await auth.set(login)
  const seen: (string | undefined)[] = []
  auth.subscribe(() => seen.push(auth.current()?.username))
  await auth.tokens.write({ accessToken: 'b', refreshToken: 's', expiresAt: 2 })
  expect(auth.current()).toEqual({ ...login, accessToken: 'b', refreshToken: 's', expiresAt: 2 })
  expect(seen).toEqual([])
  await tab(storage).set({ ...login, username: 'ada' })
  await auth.tokens.read()
  expect(seen).toEqual(['ada'])
})

test('tokens that come after the log-out are not kept', async () => {
  const storage = memory()
  const auth = tab(storage)
  await auth.set(login)
  tab(storage).clear()
  await auth.tokens.write({ accessToken: 'b', refreshToken: 's', expiresAt: 2 })
  expect(tab(storage).current()).toBeUndefined()
})

test('of many tabs one works at a time, without locks of the browser', async () => {
  const storage = memory()
  let inside = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++inside)
    await new Promise((resolve) => setImmediate(resolve))
    inside--
  }
  await Promise.all(Array.from({ length: 5 }, () => tab(storage).tokens.exclusively(work)))
  expect(most).toBe(1)
})

test.each(['{', 'null', '[]', '{"username":1}', '{"username":"a","accessToken":"t"}'])(
  '%s in the storage is no log-in',
  (text) => {
    const storage = memory()
    storage.setItem('aicm.login', text)
    expect(tab(storage).current()).toBeUndefined()
  },
)
