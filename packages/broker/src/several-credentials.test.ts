import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import type { BrokerConfig, Credential } from './config.ts'
import { scriptedApi } from './demo/scripted-api.ts'
import { ask, live, messages, testBroker } from './testing.ts'
import { sessionTokens } from './session-tokens.ts'

const upstreamWith = async (listener: RequestListener) => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    [Symbol.asyncDispose]: close,
  }
}
const keyOf = ({ headers }: IncomingMessage): string =>
  String(headers['x-api-key'] ?? headers.authorization?.replace('Bearer ', ''))

/** Answers by the key that it is given; what it was given is kept. */
const upstreamBy = async (answers: Record<string, { status: number; headers?: Record<string, string> }>) => {
  const keys: string[] = []
  const upstream = await upstreamWith(async (request, response) => {
    const key = keyOf(request)
    keys.push(key)
    await text(request)
    const { status, headers } = answers[key] ?? { status: 200 }
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ by: key }))
  })
  return { ...upstream, keys }
}
const key = (id: string, upstream: string, userId: string | null = null): Credential => ({
  ...{ id, upstream, userId },
  ...{ kind: 'api-key', value: `key-${id}` },
})
const config = (...credentials: Credential[]): BrokerConfig => ({ mode: 'live', credentials })
const call = (broker: Awaited<ReturnType<typeof testBroker>>, userId = 'usr_1', body = '{"model":"claude-x"}') =>
  ask(broker.socket, {
    headers: { 'x-api-key': sessionTokens(broker.dir).give({ sessionId: 'ses_1', userId }) },
    body,
  })

test("a session is served by its owner's credential before any shared one, and never by another user's", async () => {
  await using upstream = await upstreamBy({})
  await using broker = await testBroker(
    config(key('shared', upstream.url), key('other', upstream.url, 'usr_2'), key('own', upstream.url, 'usr_1')),
  )
  expect(JSON.parse((await call(broker)).body)).toEqual({ by: 'key-own' })
  expect(JSON.parse((await call(broker, 'usr_3')).body)).toEqual({ by: 'key-shared' })
  await broker.control.configure(config(key('other', upstream.url, 'usr_2')))
  const refused = await call(broker)
  expect(refused).toMatchObject({ status: 401, headers: { 'x-should-retry': 'false' } })
  expect(JSON.parse(refused.body)).toMatchObject({ error: { type: 'authentication_error' } })
  expect(upstream.keys).toEqual(['key-own', 'key-shared'])
})

test("a subscription's token serves its owner's sessions and nobody else's", async () => {
  await using upstream = await upstreamBy({})
  const token = { kind: 'oauth-token', value: 'subscription' } as const
  await using broker = await testBroker(live(upstream.url, token, { userId: 'usr_1' }))
  expect((await call(broker)).status).toBe(200)
  expect((await call(broker, 'usr_2')).status).toBe(401)
  await expect(broker.control.configure(live(upstream.url, token))).rejects.toThrow('its owner only')
  expect(upstream.keys).toEqual(['subscription'])
})

test("a subscription's token serves no prompt of a guest, for whom other credentials are there", async () => {
  await using upstream = await upstreamBy({})
  const own: Credential = {
    ...{ id: 'own', upstream: upstream.url, userId: 'usr_1' },
    ...{ kind: 'oauth-token', value: 'key-own' },
  }
  await using broker = await testBroker({ ...config(own), guests: ['ses_1'] })
  expect((await call(broker)).status).toBe(401)
  await broker.control.configure({ ...config(own, key('shared', upstream.url)), guests: ['ses_1'] })
  expect(JSON.parse((await call(broker)).body)).toEqual({ by: 'key-shared' })
  await broker.control.configure({ ...config(own, key('shared', upstream.url)), guests: ['ses_2'] })
  expect(JSON.parse((await call(broker)).body)).toEqual({ by: 'key-own' })
})

test('each change of a breaker is told, also of one that was given other settings since', async () => {
  const answers = { 'key-a': { status: 500 }, 'key-b': { status: 500 } }
  await using upstream = await upstreamBy(answers)
  await using broker = await testBroker(config(key('a', upstream.url, 'usr_1')))
  for (let failure = 0; failure < 10; failure++) expect((await call(broker)).status).toBe(500)
  await broker.control.configure(config({ ...key('a', upstream.url, 'usr_1'), maxConcurrent: 2 }))
  for (let failure = 0; failure < 10; failure++) expect((await call(broker)).status).toBe(500)
  await broker.control.configure(config(key('b', upstream.url)))
  for (let failure = 0; failure < 10; failure++) expect((await call(broker)).status).toBe(500)
  expect((await broker.control.status()).breakerChanges).toEqual([
    { seq: 1, credentialId: 'a', state: 'open' },
    { seq: 2, credentialId: 'a', state: 'open' },
    { seq: 3, credentialId: 'b', state: 'open' },
  ])
})

test.each([
  [{ status: 401 }, 'auth_required'],
  [{ status: 429, headers: { 'retry-after': '100' } }, 'resting'],
  [{ status: 529, headers: { 'retry-after': '100' } }, 'resting'],
])('one that is refused with %j is left alone, and the next one answers the same call', async (answer, state) => {
  await using upstream = await upstreamBy({ 'key-a': answer })
  await using broker = await testBroker(config(key('a', upstream.url), key('b', upstream.url)))
  for (let times = 0; times < 2; times++)
    expect(await call(broker)).toMatchObject({ status: 200, body: '{"by":"key-b"}' })
  expect(upstream.keys).toEqual(['key-a', 'key-b', 'key-b'])
  expect((await broker.control.status()).credentials).toMatchObject([{ state }, { state: 'ready' }])
})

test('each credential goes to its own upstream and to no other, also when it stands in for another', async () => {
  await using first = await upstreamBy({ 'key-a': { status: 401 } })
  await using second = await upstreamBy({})
  await using broker = await testBroker(config(key('a', first.url), key('b', second.url)))
  expect((await call(broker)).status).toBe(200)
  expect([first.keys, second.keys]).toEqual([['key-a'], ['key-b']])
})

test('a plan limit is told with its time, and not asked about again until then', async () => {
  const reset = Math.floor(Date.now() / 1000) + 7200
  const limited = {
    'anthropic-ratelimit-unified-status': 'rejected',
    'anthropic-ratelimit-unified-reset': String(reset),
  }
  await using upstream = await upstreamBy({ 'key-a': { status: 429, headers: limited } })
  await using broker = await testBroker(config(key('a', upstream.url)))
  for (let times = 0; times < 3; times++) {
    const answer = await call(broker)
    expect(answer).toMatchObject({ status: 429, headers: { ...limited, 'x-should-retry': 'false' } })
    expect(answer.body).toContain(`until ${new Date(reset * 1000).toISOString()}`)
  }
  expect(upstream.keys).toHaveLength(1)
  expect((await broker.control.status()).credentials).toMatchObject([
    { state: 'resting', until: new Date(reset * 1000).toISOString() },
  ])
})

/** An upstream and its token endpoint: each renewal gives the next token, and only the newest is taken. */
const oauthUpstream = async () => {
  const api = { good: 'token-1', renewals: 0, calls: [] as string[], refuseRenewal: false }
  const upstream = await upstreamWith(async (request, response) => {
    const body = await text(request)
    if (request.url === '/token') {
      if (api.refuseRenewal) return void response.writeHead(400).end('{"error":"invalid_grant"}')
      api.renewals++
      api.good = `token-${api.renewals + 1}`
      response.end(
        JSON.stringify({ access_token: api.good, refresh_token: `refresh-${api.renewals}`, expires_in: 60_000 }),
      )
      return
    }
    api.calls.push(keyOf(request))
    response.writeHead(keyOf(request) === api.good ? 200 : 401).end(String(body.length))
  })
  const credential: Credential = {
    ...{ id: 'crd_1', userId: 'usr_1', upstream: upstream.url, kind: 'oauth', accessToken: 'expired' },
    ...{ refreshToken: 'refresh-0', expiresAt: 0, tokenUrl: `${upstream.url}/token`, clientId: 'client', lineage: 'a' },
  }
  return { ...upstream, api, config: { ...config(credential), sealKey: Buffer.alloc(32, 7).toString('base64') } }
}

test('a token that has run out is renewed once for all, and each call is sent once more', async () => {
  await using upstream = await oauthUpstream()
  await using broker = await testBroker(upstream.config)
  const body = `{"model":"claude-x","filler":"${'x'.repeat(300_000)}"}`
  const answers = await Promise.all(Array.from({ length: 8 }, () => call(broker, 'usr_1', body)))
  for (const answer of answers) expect(answer).toMatchObject({ status: 200, body: String(body.length) })
  expect(upstream.api.renewals).toBe(1)
  expect((await broker.control.status()).renewed).toEqual(['crd_1'])
})

test('a request too long to be kept is not sent again, but the token is renewed for when claude sends it', async () => {
  await using upstream = await oauthUpstream()
  await using broker = await testBroker(upstream.config)
  const body = `{"model":"claude-x","filler":"${'x'.repeat(6_000_000)}"}`
  expect((await call(broker, 'usr_1', body)).status).toBe(401)
  expect(await call(broker, 'usr_1', body)).toMatchObject({ status: 200, body: String(body.length) })
  expect(upstream.api.calls).toEqual(['expired', 'token-2'])
})

test('where renewing is refused the session is told so once, in the API’s own words and without a secret', async () => {
  await using upstream = await oauthUpstream()
  upstream.api.refuseRenewal = true
  await using broker = await testBroker(upstream.config)
  const answer = await call(broker)
  expect(answer).toMatchObject({ status: 401, headers: { 'x-should-retry': 'false' } })
  expect(JSON.parse(answer.body)).toMatchObject({ error: { type: 'authentication_error' } })
  expect(answer.body).toContain('must be renewed')
  expect(answer.body).not.toMatch(/refresh-0|expired/)
  expect((await broker.control.status()).credentials).toMatchObject([{ state: 'auth_required' }])
  expect(upstream.api.calls).toEqual(['expired'])
})

test('renewed tokens outlive the broker, sealed, and are used by the next one', async () => {
  await using upstream = await oauthUpstream()
  await using broker = await testBroker(upstream.config)
  expect((await call(broker)).status).toBe(200)
  // The same settings again, with the tokens from before: what is sealed in the folder is newer.
  await broker.control.configure({ ...upstream.config, budgets: {} })
  expect((await call(broker)).status).toBe(200)
  expect(upstream.api.renewals).toBe(1)
})

test('no more calls than its cap are under way with a credential, and the others wait their turn', async () => {
  let most = 0
  let now = 0
  await using upstream = await upstreamWith(async (request, response) => {
    most = Math.max(most, ++now)
    await text(request)
    setImmediate(() => {
      now--
      response.end('{}')
    })
  })
  await using broker = await testBroker(config({ ...key('a', upstream.url), maxConcurrent: 2 }))
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => call(broker, `usr_${index % 3}`)))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(most).toBeLessThanOrEqual(2)
})

test('in the demo a user with a credential reaches the API, and the others the script', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker({ ...config(key('own', upstream.url, 'usr_1')), mode: 'demo' })
  expect((await call(broker, 'usr_1', messages('@text(a)'))).status).toBe(200)
  expect((await call(broker, 'usr_2', messages('@text(b)'))).status).toBe(200)
  expect(api.calls.map(({ lastUserText, headers }) => [lastUserText, headers.apiKey])).toEqual([
    ['@text(a)', 'key-own'],
  ])
})
