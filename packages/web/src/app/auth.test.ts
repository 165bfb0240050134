import { expect, test } from 'vitest'
import { createAuth, type Login } from './auth.ts'

const memory = () => {
  const map = new Map<string, string>()
  return {
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
  }
}
const login: Login = { username: 'admin', accessToken: 'a', refreshToken: 'r', expiresAt: 1 }

test('a log-in survives a reload of the tab', () => {
  const storage = memory()
  createAuth(storage).set(login)
  expect(createAuth(storage).current()).toEqual(login)
})

test('clearing it tells the listeners once and leaves nothing behind', () => {
  const storage = memory()
  const auth = createAuth(storage)
  auth.set(login)
  let calls = 0
  auth.subscribe(() => calls++)
  auth.clear()
  auth.clear()
  expect(calls).toBe(1)
  expect(createAuth(storage).current()).toBeUndefined()
})

test.each(['{', 'null', '[]', '{"username":1}', '{"username":"a","accessToken":"t"}'])(
  '%s in the storage is no log-in',
  (text) => {
    const storage = memory()
    storage.setItem('aicm.login', text)
    expect(createAuth(storage).current()).toBeUndefined()
  },
)
