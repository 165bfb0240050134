import { expect, test } from 'vitest'
import { startFakeApi } from '../../testing/src/fake-api/fake-api.ts'
import { createClient } from './client.ts'
import { login } from './login.ts'
import { memoryTokens, type TokenStore } from './tokens.ts'

const start = async () => {
  const api = await startFakeApi({ users: { admin: 'secret' } })
  const tokens = await login({ url: api.url, username: 'admin', password: 'secret' })
  const counted = { refreshes: 0 }
  const store: TokenStore = memoryTokens(tokens)
  const { write } = store
  store.write = (next) => {
    counted.refreshes++
    return write(next)
  }
  const client = createClient({ url: api.url, tokens: store })
  return {
    ...{ api, store, counted, client },
    [Symbol.asyncDispose]: async () => {
      client.close()
      await api[Symbol.asyncDispose]()
    },
  }
}

test('a token that the server refuses is replaced once, for all who wait', async () => {
  await using started = await start()
  const { api, counted, client, store } = started
  api.expireTokens()
  await Promise.all(Array.from({ length: 10 }, () => client.me()))
  expect(counted.refreshes).toBe(1)
  // Another program of the same login.
  await using other = createClient({ url: api.url, tokens: store })
  api.expireTokens()
  await Promise.all([client.me(), client.me()])
  await other.me()
  expect(counted.refreshes).toBe(2)
})

test('a token is replaced before it expires', async () => {
  await using started = await start()
  const { counted, client, store } = started
  const tokens = await store.read()
  if (tokens === undefined) throw new Error('no tokens')
  tokens.expiresAt = Date.now() + 5000
  await Promise.all([client.me(), client.me()])
  expect(counted.refreshes).toBe(1)
})

test('a login that is over is forgotten, one that cannot be refreshed now is kept', async () => {
  await using started = await start()
  const { api, client, store } = started
  api.expireTokens()
  api.refuse('refresh', 'not_ready')
  await expect(client.me()).rejects.toMatchObject({ code: 'not_ready' })
  expect(await store.read()).toBeDefined()
  api.refuse('refresh', 'refresh_token_reused')
  await expect(client.me()).rejects.toMatchObject({ code: 'refresh_token_reused' })
  expect(await store.read()).toBeUndefined()
  await expect(client.me()).rejects.toMatchObject({ code: 'unauthorized' })
})

test('a stream goes on over an expired token', async () => {
  await using started = await start()
  const { api, client } = started
  const { id } = await client.sessions.create()
  expect(await client.session(id).execute('one').complete()).toMatchObject({ result: 'success' })
  api.expireTokens()
  api.cutAll()
  expect(await client.session(id).execute('two').complete()).toMatchObject({ result: 'success' })
})
