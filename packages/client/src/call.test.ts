import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { routes } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { startFakeApi } from '../../testing/src/fake-api/fake-api.ts'
import { createClient } from './client.ts'
import { login } from './login.ts'

test('a client logs in and calls the API with its token', async () => {
  await using api = await startFakeApi({ users: { admin: 'secret' } })
  const { accessToken } = await login({ url: api.url, username: 'admin', password: 'secret' })
  await using client = createClient({ url: api.url, token: accessToken })

  const created = await client.sessions.create({ name: 'first' })
  expect(await client.sessions.get(created.id)).toMatchObject({ name: 'first', status: 'idle' })
  expect(await client.sessions.update(created.id, { name: 'second' })).toMatchObject({ name: 'second' })
  expect((await client.sessions.list({ limit: 5 })).sessions).toHaveLength(1)
  expect(await client.workspaces.list()).toHaveLength(1)
  expect(await client.approvals.list()).toEqual([])
  expect(await client.me()).toMatchObject({ username: 'admin' })
  expect(await client.health()).toMatchObject({ status: 'ok' })
  expect(await client.call(routes.sessions.events, { params: { id: created.id }, query: {} })).toMatchObject({
    events: [],
  })
  expect(await client.sessions.delete(created.id)).toBeUndefined()
})

test('a refusal is an AicmError with code, hint, status and request id', async () => {
  await using api = await startFakeApi({ users: { admin: 'secret' } })
  const wrong = login({ url: api.url, username: 'admin', password: 'guess' })
  await expect(wrong).rejects.toMatchObject({
    name: 'AicmError',
    code: 'invalid_credentials',
    status: 401,
    hint: expect.stringContaining('password'),
    requestId: expect.any(String),
  })
  await using client = createClient({ url: api.url })
  await expect(client.me()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(client.session('ses_none').execute('x').accepted).rejects.toMatchObject({ code: 'unauthorized' })
})

test('the token is asked for before every request', async () => {
  await using api = await startFakeApi({ users: { admin: 'secret' } })
  let token = 'expired'
  await using client = createClient({ url: api.url, getToken: async () => token })
  await expect(client.me()).rejects.toMatchObject({ code: 'unauthorized' })
  token = (await login({ url: api.url, username: 'admin', password: 'secret' })).accessToken
  expect(await client.me()).toMatchObject({ username: 'admin' })
})

test('a server that is not there is said so, with its address', async () => {
  const api = await startFakeApi()
  await api[Symbol.asyncDispose]()
  await using client = createClient({ url: api.url })
  await expect(client.health()).rejects.toMatchObject({
    code: 'unreachable',
    message: `Cannot reach the server at ${api.url} (ECONNREFUSED).`,
    hint: expect.stringContaining('aicm up'),
  })
})

test('an answer of something that is not this server is told apart from a refusal', async () => {
  const other = createServer((_, response) =>
    response.writeHead(502, { 'retry-after': '7' }).end('<h1>Bad gateway</h1>'),
  )
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  try {
    await using client = createClient({ url: `http://127.0.0.1:${port}/` })
    await expect(client.health()).rejects.toMatchObject({ code: 'unexpected_answer', status: 502, retryAfter: 7 })
  } finally {
    other.close()
  }
})

test('a request ends with its signal', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url })
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(client.call(routes.health.health, {}, { signal })).rejects.toThrow('enough')
})

test('paths are built below the given address, and their parameters cannot leave their place', async () => {
  const seen: string[] = []
  const fetch = async (input: string | URL | Request) => {
    seen.push(String(input))
    return new Response('{}', { status: 200 })
  }
  await using client = createClient({ url: 'https://example.test/aicm', fetch })
  await client.sessions.get('../../x?y')
  await client.sessions.list({ text: 'a&b', limit: 3 })
  expect(seen).toEqual([
    'https://example.test/aicm/v1/sessions/..%2F..%2Fx%3Fy',
    'https://example.test/aicm/v1/sessions?text=a%26b&limit=3',
  ])
})
