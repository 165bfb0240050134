import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { brokerControl } from './client.ts'
import { scriptedApi } from './demo/scripted-api.ts'
import { brokerCommand } from './command.ts'
import { socketPaths } from './paths.ts'
import { ask, live, messages, open, testBroker } from './testing.ts'
import { sessionTokens } from './session-tokens.ts'

type Broker = Awaited<ReturnType<typeof testBroker>>
const say = (broker: Pick<Broker, 'dir' | 'socket'>, prompt: string, sessionId = 'ses_1', more = {}) =>
  ask(broker.socket, {
    headers: { 'x-api-key': sessionTokens(broker.dir).give({ sessionId, userId: 'usr_1' }) },
    body: messages(prompt, { model: 'claude-opus-5', ...more }),
  })
const entries = async (broker: Pick<Broker, 'control'>) => (await broker.control.ledger(0)).entries

test('each call is written down with its tokens, cost and times, streamed or not, refused or not', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url))
  await say(broker, '@tokens(1000)')
  await say(broker, '@tokens(10)', 'ses_2', { stream: false })
  await say(broker, '@error(400)')
  const found = await entries(broker)
  expect(found).toMatchObject([
    { seq: 1, sessionId: 'ses_1', userId: 'usr_1', outputTokens: 1000, status: 200, end: 'complete', priced: true },
    { seq: 2, sessionId: 'ses_2', outputTokens: 10, model: 'claude-opus-5', credentialId: 'crd_1' },
    { seq: 3, outputTokens: 0, costUsd: 0, status: 400 },
  ])
  const [first] = found
  expect(first?.costUsd).toBeCloseTo(((first?.inputTokens ?? 0) * 5 + 1000 * 25) / 1e6, 10)
  expect(first?.firstByteMs).toBeLessThanOrEqual(first?.ms ?? 0)
})

test('counting tokens costs nothing and is not written down', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, undefined, { budgets: { server: { day: { usd: 0 } } } }))
  const answer = await ask(broker.socket, {
    path: '/v1/messages/count_tokens',
    headers: { 'x-api-key': broker.token },
    body: messages('hello'),
  })
  expect(answer.status).toBe(200)
  expect(await entries(broker)).toEqual([])
})

test('a child that goes away in the middle pays for what it was sent', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url))
  const stream = await open(broker.socket, {
    headers: { 'x-api-key': broker.token },
    body: messages('@tokens(5000,1,50)', { model: 'claude-opus-5' }),
  })
  let seen = 0
  for await (const chunk of stream) if ((seen += chunk.length) > 20_000) break
  await expect.poll(() => entries(broker)).toHaveLength(1)
  const [entry] = await entries(broker)
  expect(entry).toMatchObject({ end: 'cut', priced: false })
  expect(entry?.outputTokens).toBeGreaterThan(20)
})

test('a budget that is used up is a 402 which says which one and until when, and nothing goes upstream', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  const budgets = { sessions: { ses_1: { usd: 0.02 } }, everybody: { month: { tokens: 2880 } } }
  await using broker = await testBroker(live(upstream.url, undefined, { budgets }))
  expect((await say(broker, '@tokens(1000)')).status).toBe(200)
  const refused = await say(broker, '@tokens(1)')
  expect(refused.status).toBe(402)
  expect(JSON.parse(refused.body)).toMatchObject({ type: 'error', error: { type: 'billing_error' } })
  expect(refused.body).toContain('Budget exceeded [session]')
  expect((await say(broker, '@tokens(1800)', 'ses_2')).status).toBe(200)
  expect((await say(broker, '@tokens(1)', 'ses_2')).body).toContain('Budget exceeded [user.month]')
  expect(api.calls).toHaveLength(2)
  // Raised, it goes on from what was spent.
  await broker.control.configure(live(upstream.url, undefined, { budgets: { sessions: { ses_1: { usd: 1 } } } }))
  expect((await say(broker, '@tokens(1)')).status).toBe(200)
  expect((await broker.control.sums(['session/ses_1']))['session/ses_1']?.usd).toBeGreaterThan(0.025)
})

test('of many calls at once no more start than the budget has room for', async () => {
  let started = 0
  const all = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    request.resume()
    started++
    await all.promise
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ model: 'claude-opus-5', usage: { input_tokens: 1, output_tokens: 10 } }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  // Each call sets one token aside.
  await using broker = await testBroker(live(url, undefined, { budgets: { server: { day: { tokens: 5 } } } }))
  const calls = Array.from({ length: 20 }, () => say(broker, 'hello', 'ses_1', { stream: false }))
  await expect.poll(() => started).toBe(5)
  all.resolve()
  const statuses = (await Promise.all(calls)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(5)
  expect(statuses.filter((status) => status === 402)).toHaveLength(15)
  // Over by what the calls cost that were under way, and by no other.
  expect((await entries(broker)).reduce((sum, { outputTokens }) => sum + outputTokens, 0)).toBe(50)
  server.close()
})

test('killed in the middle of an answer, the next broker counts it, and the budget holds', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  const dir = join(mkdtempSync(join(tmpdir(), 'aicm-broker-')), 'broker')
  const control = brokerControl(dir)
  const socket = socketPaths(dir).api
  const config = live(upstream.url, undefined, { budgets: { sessions: { ses_1: { tokens: 1000 } } } })
  const start = async () => {
    const [node, ...args] = brokerCommand(dir)
    const child = spawn(node, args, { stdio: 'ignore', env: {} })
    await expect.poll(() => control.status().catch(() => null), { timeout: 20_000 }).toMatchObject({ mode: null })
    await control.configure(config)
    return child
  }
  const first = await start()
  expect((await say({ dir, socket }, '@tokens(400)')).status).toBe(200)
  const hanging = open(socket, {
    headers: { 'x-api-key': sessionTokens(dir).give({ sessionId: 'ses_1', userId: 'usr_1' }) },
    body: messages('@tokens(1) @hang', { model: 'claude-opus-5', filler: 'x'.repeat(4000) }),
  })
  const stream = await hanging
  stream.on('error', () => undefined)
  await once(stream, 'data')
  first.kill('SIGKILL')
  await once(first, 'exit')
  const second = await start()
  try {
    expect((await control.ledger(0)).entries).toMatchObject([
      { seq: 1, end: 'complete', outputTokens: 400 },
      { seq: 2, end: 'cut' },
    ])
    // The input of the one that was cut off has used up the rest.
    expect((await say({ dir, socket }, '@tokens(1)')).status).toBe(402)
  } finally {
    second.kill('SIGKILL')
    await once(second, 'exit')
  }
})
