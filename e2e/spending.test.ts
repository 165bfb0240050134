import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { routes, type Message } from '@aicm/protocol'
import { scriptedApi } from '@aicm/broker'
import { createClient, type Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { kill } from '@aicm/testing/processes'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { firstItem, logOf } from './lib/turns.ts'
import { serve } from './lib/serve.ts'

/** The real claude against an API that costs money, as far as the server can tell. */

const test = requires('claude', 'linux')
const api = scriptedApi()
const sharedKey = 'sk-shared-0001'
let upstream: Awaited<ReturnType<typeof serve>>
/** A subscription's calls are refused for so many seconds from the first one on, as the API does at the limit of a plan. */
let limitFor = 0
/** When that ends, in seconds since 1970; 0 before the first call. */
let limitedUntil = 0
let server: TestServer
let admin: Client
let ada: Client
let adaToken: string
const clients: Client[] = []

beforeAll(async () => {
  upstream = await limitingUpstream()
  server = await startTestServer({ env: { ANTHROPIC_API_KEY: sharedKey, ANTHROPIC_BASE_URL: upstream.url } })
  adaToken = await server.addUser('ada')
  admin = await server.client()
  ada = createClient({ url: server.url, token: adaToken })
  clients.push(ada)
})
afterAll(async () => {
  for (const client of clients) client.close()
  await server?.stop()
  await upstream?.[Symbol.asyncDispose]()
})
beforeEach(() => {
  api.calls.length = 0
})

const limitPlanFor = (seconds: number) => {
  limitFor = seconds
  limitedUntil = 0
}

const limitingUpstream = async () => {
  return serve((request, response) => {
    const subscription = request.headers.authorization !== undefined
    if (subscription && limitedUntil === 0) limitedUntil = Math.floor(Date.now() / 1000) + limitFor
    if (!subscription || limitedUntil * 1000 <= Date.now()) return api.handler(request, response)
    request.resume()
    response.writeHead(429, {
      'content-type': 'application/json',
      'anthropic-ratelimit-unified-status': 'rejected',
      'anthropic-ratelimit-unified-reset': String(limitedUntil),
    })
    response.end('{"type":"error","error":{"type":"rate_limit_error","message":"limited"}}')
  })
}

const turn = async (client: Client, prompt: string, options: Parameters<Client['sessions']['create']>[0] = {}) => {
  const { id } = await client.sessions.create({ model: 'claude-opus-4-5-20251101', ...options })
  return { id, complete: await client.session(id).execute(prompt).complete() }
}
const usage = (client: Client, query: { groupBy?: 'user' | 'session' | 'model' | 'day'; of?: 'own' | 'all' } = {}) =>
  client.call(routes.usage.usage, { query })
const errorsOf = (log: Message[]) => log.filter((message) => message.type === 'error')
const keysUsed = () => new Set(api.calls.map(({ headers }) => headers.apiKey))

test('what a turn used is in the ledger, and agrees with what claude itself reports', async () => {
  const { id, complete } = await turn(ada, '@tokens(2000)')
  const { usage: sums, total } = await usage(ada, { groupBy: 'session' })
  const sum = sums.find(({ key }) => key === id)
  expect(sum?.outputTokens).toBeGreaterThanOrEqual(2000)
  expect(sum?.guessed).toBe(0)
  expect(sum?.costUsd).toBeCloseTo(complete.costUsd ?? 0, 6)
  expect(sum?.claudeCostUsd).toBeCloseTo(sum?.costUsd ?? 0, 6)
  expect(total.costUsd).toBeGreaterThanOrEqual(sum?.costUsd ?? Infinity)
})

test('where the ledger and claude do not agree the log and the metrics say so, and where they do they say that', async () => {
  await using dir = await tempDir()
  const prices = join(dir.path, 'prices.json')
  writeFileSync(prices, JSON.stringify({ 'claude-opus-4-5': { input: 1000, output: 1000 } }))
  const env = { ANTHROPIC_API_KEY: sharedKey, ANTHROPIC_BASE_URL: upstream.url }
  await using dear = await startTestServer({ args: ['--prices', prices], env })
  const comparisons = async (of: TestServer): Promise<Record<string, number>> => {
    const { text } = await send(`${of.url}/metrics`, 'GET', { token: await of.token() })
    const counted = text.matchAll(/^aicm_cost_comparisons_total\{result="(\w+)"\} (\d+)$/gm)
    return Object.fromEntries([...counted].map(([, result, count]) => [result, Number(count)]))
  }
  const { id } = await turn(await dear.client(), '@tokens(2000)')
  await until('they were compared', async () => ((await comparisons(dear))['differs'] ?? 0) > 0)
  expect((await comparisons(dear))['agrees']).toBe(0)
  // The log is written in the background.
  const told = await until('it is in the log', () => {
    const lines = readFileSync(join(dear.dataDir, 'server.log'), 'utf8').split('\n')
    const found = lines.filter((line) => line.includes('differs from the ledger')).map((line) => JSON.parse(line))
    return found.length > 0 && found
  })
  expect(told).toMatchObject([{ sessionId: id, ledgerUsd: expect.any(Number), claudeUsd: expect.any(Number) }])
  expect(told[0].ledgerUsd).toBeGreaterThan(2 * told[0].claudeUsd)

  const { agrees: before = 0 } = await comparisons(server)
  await turn(ada, '@tokens(2000)')
  await until('they were compared', async () => ((await comparisons(server))['agrees'] ?? 0) > before)
})

test("one's own usage is for everybody, that of all needs a permission, and a table is to be had", async () => {
  await turn(admin, '@text(mine)')
  const own = await usage(ada, { groupBy: 'user' })
  expect(own.usage).toHaveLength(1)
  expectRefusal(await send(`${server.url}/v1/usage?of=all`, 'GET', { token: adaToken }), 'forbidden')
  expect((await usage(admin, { groupBy: 'user', of: 'all' })).usage).toHaveLength(2)
  const { text, headers } = await send(`${server.url}/v1/usage?groupBy=day`, 'GET', {
    token: adaToken,
    headers: { accept: 'text/csv' },
  })
  expect(headers.get('content-type')).toContain('text/csv')
  expect(text).toMatch(/^day,calls,.*\r\n\d{4}-\d\d-\d\d,\d+,/)
})

test('each call is counted once, however often the server is killed', async () => {
  const before = (await usage(ada)).total.calls
  for (let round = 0; round < 3; round++) {
    await turn(ada, '@tokens(10)')
    await server.restart()
  }
  const calls = api.calls.filter(({ path }) => !path.includes('count_tokens')).length
  expect((await usage(ada)).total.calls).toBe(before + calls)
})

test("a session's budget ends a turn with an error that says so, and claude does not try again", async () => {
  const { id } = await turn(ada, '@tokens(500)', { budget: { tokens: 400 } })
  const asked = api.calls.length
  expect(await ada.session(id).execute('@text(more)').complete()).toMatchObject({ result: 'error' })
  const log = await logOf(ada, id)
  expect(errorsOf(log)).toMatchObject([
    {
      code: 'budget_exceeded',
      message: expect.stringContaining('400 tokens (this session)'),
      hint: expect.stringContaining('/v1/budgets'),
      detail: { budget: 'session', resetsAt: null },
    },
  ])
  expect(log.filter((message) => message.type === 'progress' && message.kind === 'api_retry')).toEqual([])
  expect(api.calls).toHaveLength(asked)
  expect((await ada.sessions.get(id)).budget).toEqual({ tokens: 400 })
})

test('a budget of users and of the server is set by an administrator, holds at once, and through kills of both', async () => {
  const { id: adaId } = await ada.me()
  const set = (body: object) => send(`${server.url}/v1/budgets`, 'PATCH', { token: adaToken, body })
  expectRefusal(await set({ of: 'everybody', day: { usd: 1 } }), 'forbidden')
  const { total } = await usage(ada)
  await admin.call(routes.budgets.set, { body: { of: adaId, day: { usd: total.costUsd + 0.001 } } })
  const { budgets, settings } = await ada.call(routes.budgets.list, {})
  expect(settings).toBeUndefined()
  const mine = budgets.find(({ budget }) => budget === 'user.day')
  expect(mine?.spent.usd).toBeCloseTo(total.costUsd, 6)
  await turn(ada, '@tokens(500)')

  const refused = async () => {
    const { id, complete } = await turn(ada, '@text(no)')
    expect(complete).toMatchObject({ result: 'error' })
    expect(errorsOf(await logOf(ada, id))).toMatchObject([
      { code: 'budget_exceeded', detail: { budget: 'user.day', resetsAt: mine?.resetsAt } },
    ])
  }
  await refused()
  const broker = server.brokerPid()
  if (broker === undefined) throw new Error('there is no broker')
  await server.kill9()
  kill(broker, 'SIGKILL')
  await server.restart()
  await refused()
  expect((await turn(admin, '@text(mine)')).complete).toMatchObject({ result: 'success' })
  await admin.call(routes.budgets.set, { body: { of: adaId, day: null } })
  expect((await turn(ada, '@text(yes)')).complete).toMatchObject({ result: 'success', text: 'yes' })
})

test("a user's own credential serves their sessions instead of the shared one, and is never shown", async () => {
  const value = 'sk-adas-own-key-wxyz'
  const created = await ada.call(routes.credentials.create, { body: { kind: 'api-key', value, name: 'mine' } })
  expect(created).toMatchObject({ name: 'mine', shared: false, hint: 'wxyz', enabled: true, state: 'ready' })
  await turn(ada, '@text(own)')
  expect(keysUsed()).toEqual(new Set([value]))
  api.calls.length = 0
  await turn(admin, '@text(shared)')
  expect(keysUsed()).toEqual(new Set([sharedKey]))

  const { credentials } = await ada.call(routes.credentials.list, {})
  expect(credentials).toMatchObject([{ id: created.id, state: 'ready', lastUsedAt: expect.stringMatching(/Z$/) }])
  expect(JSON.stringify(credentials)).not.toContain(value)
  // An administrator runs the server; what users bring along is theirs.
  expect((await admin.call(routes.credentials.list, {})).credentials).toMatchObject([{ id: 'environment' }])
  const foreign = await send(`${server.url}/v1/credentials/${created.id}`, 'DELETE', { token: await server.token() })
  expectRefusal(foreign, 'credential_not_found')

  api.calls.length = 0
  await ada.call(routes.credentials.update, { params: { id: created.id }, body: { enabled: false } })
  await turn(ada, '@text(off)')
  expect(keysUsed()).toEqual(new Set([sharedKey]))
  await ada.call(routes.credentials.delete, { params: { id: created.id } })
  expect((await ada.call(routes.credentials.list, {})).credentials).toEqual([])
})

test('shared ones are for administrators to add, and a subscription can be shared by nobody', async () => {
  const create = (token: string, body: object) => send(`${server.url}/v1/credentials`, 'POST', { token, body })
  const value = 'sk-another-shared-key'
  expectRefusal(await create(adaToken, { kind: 'api-key', value, shared: true }), 'forbidden')
  expectRefusal(await create(adaToken, { kind: 'api-key', value, upstream: 'http://10.0.0.1' }), 'invalid_request')
  const token = await server.token()
  for (const body of [
    { kind: 'oauth-token', value, shared: true },
    { kind: 'oauth', refreshToken: value, shared: true },
    { kind: 'api-key' },
    { kind: 'oauth', refreshToken: value },
  ])
    expectRefusal(await create(token, body), 'invalid_request')
  const made = await admin.call(routes.credentials.create, { body: { kind: 'api-key', value, shared: true } })
  expectRefusal(
    await send(`${server.url}/v1/credentials/${made.id}`, 'PATCH', { token: adaToken, body: { enabled: false } }),
    'credential_not_found',
  )
  await admin.call(routes.credentials.delete, { params: { id: made.id } })
})

test('a credential that is refused is told in the session and in health, and is well again when it was replaced', async () => {
  const bad = await ada.call(routes.credentials.create, {
    body: { kind: 'api-key', value: 'sk-a-revoked-key-0001' },
  })
  // The scripted API refuses by the prompt, not by the key.
  const { id, complete } = await turn(ada, '@error(401)')
  expect(complete).toMatchObject({ result: 'error' })
  expect(errorsOf(await logOf(ada, id))).toMatchObject([{ code: 'auth_required' }])
  const state = async () => (await ada.call(routes.credentials.list, {})).credentials[0]?.state
  expect(await state()).toBe('auth_required')
  await ada.call(routes.credentials.update, { params: { id: bad.id }, body: { value: 'sk-a-good-key-0002' } })
  expect(await state()).toBe('ready')
  expect((await turn(ada, '@text(good)')).complete).toMatchObject({ result: 'success' })
  await ada.call(routes.credentials.delete, { params: { id: bad.id } })
})

test('after the broker has died it is started again with all it knew, and says that it was', async () => {
  const pid = server.brokerPid()
  if (pid === undefined) throw new Error('there is no broker')
  const before = (await admin.health()).modelApi.brokerRestarts
  kill(pid, 'SIGKILL')
  await until('another runs', () => server.brokerPid() !== undefined && server.brokerPid() !== pid)
  await until('health says so', async () => (await admin.health()).modelApi.brokerRestarts > before)
  expect((await admin.health()).modelApi.credentials).toMatchObject([{ id: 'environment', state: 'ready' }])
  expect((await turn(ada, '@text(again)')).complete).toMatchObject({ result: 'success' })
})

test('a stream of one session goes on while another is refused', async () => {
  const { id } = await ada.sessions.create({ model: 'claude-opus-4-5-20251101' })
  const running = ada.session(id).execute('@tokens(300,5)')
  await firstItem(ada.session(id), (item) => item.type === 'delta')
  await turn(admin, '@text(no)', { budget: { usd: 0 } })
  expect(await running.complete()).toMatchObject({ result: 'success' })
})

test('no more calls than the server is set to are under way with a credential: the others wait, and none fails', async () => {
  const first = Promise.withResolvers<void>()
  let [now, most] = [0, 0]
  await using http = await serve(async (request, response) => {
    most = Math.max(most, ++now)
    response.once('close', () => now--)
    await first.promise
    api.handler(request, response)
  })
  await using own = await startTestServer({
    args: ['--calls-per-credential', '1'],
    env: { ANTHROPIC_API_KEY: sharedKey, ANTHROPIC_BASE_URL: http.url },
  })
  const client = await own.client()
  try {
    const turns = ['@tokens(50,2)', '@tokens(60,2)'].map((prompt) => turn(client, prompt))
    await until('one call is under way, and one waits', async () =>
      (await client.health()).modelApi.credentials.some(({ active, waiting }) => active === 1 && waiting > 0),
    )
    first.resolve()
    for (const { complete } of await Promise.all(turns)) expect(complete).toMatchObject({ result: 'success' })
    expect(most).toBe(1)
  } finally {
    first.resolve()
  }
})

test('at a plan limit the turn and those behind it wait, say until when, and go on by themselves, through a kill of the server', async () => {
  // The subscription of one person, and nothing that could stand in for it.
  await using own = await startTestServer({
    env: { CLAUDE_CODE_OAUTH_TOKEN: 'sk-plan', ANTHROPIC_BASE_URL: upstream.url },
  })
  const client = await own.client()
  const { id } = await client.sessions.create()
  const session = client.session(id)
  limitPlanFor(10)
  const first = session.execute('@text(after the limit)')
  const second = session.execute('@text(and the next)')
  const waits = await firstItem(session, (item) => item.type === 'progress' && item.kind === 'plan_limit')
  const until = new Date(limitedUntil * 1000).toISOString()
  expect(waits).toMatchObject({ text: expect.stringContaining(until), data: { until } })
  expect(await client.sessions.get(id)).toMatchObject({ status: 'running', waitsUntil: until, queued: 1 })
  await own.restart()
  expect(await first.complete()).toMatchObject({ result: 'success' })
  expect(await second.complete()).toMatchObject({ result: 'success', text: 'and the next' })
  expect(Date.now()).toBeGreaterThanOrEqual(limitedUntil * 1000)
  expect(errorsOf(await logOf(client, id))).toMatchObject([{ code: 'rate_limited', detail: { resetsAt: until } }])
  expect((await client.sessions.get(id)).waitsUntil).toBeNull()

  limitPlanFor(3600)
  const third = session.execute('@text(never)')
  await firstItem(session, (item) => item.type === 'progress' && item.kind === 'plan_limit', (waits as Message).seq)
  await session.interrupt()
  expect(await third.complete()).toMatchObject({ result: 'interrupted' })
  // And nobody else is served by it.
  const token = await own.addUser('bob')
  const bob = createClient({ url: own.url, token })
  clients.push(bob)
  const { id: bobs, complete } = await turn(bob, '@text(no)')
  expect(complete).toMatchObject({ result: 'error' })
  expect(errorsOf(await logOf(bob, bobs))).toMatchObject([
    { code: 'auth_required', message: expect.stringContaining('no credential') },
  ])
})
