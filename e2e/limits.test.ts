import { once } from 'node:events'
import type { Client } from '@aicm/client'
import { routes } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { expectRefusal, send, type Answer } from './lib/http.ts'
import { openBrowser, startServerWithProvider } from './lib/oidc.ts'

const test = requires('linux')

const limited = (...limits: string[]) =>
  startTestServer({ claude: 'fake', args: ['off', ...limits].flatMap((limit) => ['--rate-limit', limit]) })

const openSocket = async (server: TestServer, token: string): Promise<WebSocket> => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${token}` },
  })
  await once(socket, 'message')
  return socket
}

/** What both fields say, be it served or refused. */
const toldOf = ({ headers }: Pick<Answer, 'headers'>): (string | null)[] => [
  headers.get('ratelimit-policy'),
  headers.get('ratelimit'),
]
const told = (policy: string, left: RegExp) => [policy, expect.stringMatching(left)]

test('who asks too often is told what the limit is, what is left, and when to come again; others are served', async () => {
  await using server = await limited('read=5/0.1')
  const other = await server.addUser('other')
  const token = await server.token()
  const me = (as: string) => send(`${server.url}/v1/auth/me`, 'GET', { token: as })
  const first = await me(token)
  expect(first.status).toBe(200)
  expect(toldOf(first)).toEqual(told('"read";q=5;w=50', /^"read";r=4;t=\d+$/))
  const answers = [first]
  while (answers.at(-1)?.status === 200) answers.push(await me(token))
  const refused = answers.at(-1)
  expectRefusal(refused ?? first, 'too_many_requests')
  expect(toldOf(refused ?? first)).toEqual(told('"read";q=5;w=50', /^"read";r=0;t=\d+$/))
  const seconds = Number(refused?.headers.get('retry-after'))
  expect(seconds).toBeGreaterThanOrEqual(1)
  expect(seconds).toBeLessThanOrEqual(10)
  expect(refused?.body).toMatchObject({ error: { retryAfter: seconds } })
  expect((await me(other)).status).toBe(200)
  // Another class has a limit of its own.
  expect((await send(`${server.url}/v1/auth/ticket`, 'POST', { token })).status).toBe(201)
})

test('a program with an API key that asks without an end does not keep the page of its owner waiting', async () => {
  await using server = await limited('read=100/0.01', 'write=1000/100')
  const token = await server.token()
  const client: Client = await server.client()
  const { key } = await client.call(routes.keys.create, { body: { name: 'loop', permissions: ['sessions.read'] } })
  const list = (as: string) => send(`${server.url}/v1/sessions`, 'GET', { token: as })
  const first = await list(key)
  expect(toldOf(first)).toEqual(told('"read";q=50;w=10000', /^"read";r=49;t=\d+$/))
  const answers = await Promise.all(Array.from({ length: 300 }, () => list(key)))
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused).toHaveLength(251)
  for (const answer of refused) expect(toldOf(answer)).toEqual(told('"read";q=50;w=10000', /^"read";r=0;t=\d+$/))
  for (let count = 0; count < 40; count++) expect((await list(token)).status).toBe(200)
})

test('an address may ask five times as much as a user, whoever asks', async () => {
  await using server = await limited('read=4/0.01')
  const answers: Answer[] = []
  for (let count = 0; count < 30; count++) answers.push(await send(`${server.url}/healthz`, 'GET'))
  expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(21)
  for (const { status, headers } of answers)
    expect(toldOf({ headers })).toEqual(
      told('"read";q=20;w=400', status === 200 ? /^"read";r=\d+;t=\d+$/ : /^"read";r=0;t=\d+$/),
    )
  for (const path of ['/healthz', '/v1/nothing', '/nothing', '/v1/sessions']) {
    const refused = await send(`${server.url}${path}`, 'GET')
    expectRefusal(refused, 'too_many_requests')
    expect(toldOf(refused)).toEqual(told('"read";q=20;w=400', /^"read";r=0;t=\d+$/))
  }
})

test('messages count too: over the limit they are refused, and a flood that goes on is closed', async () => {
  await using server = await limited('read=5/0.01', 'failure=10/0.01')
  const socket = await openSocket(server, await server.token())
  const refs: (string | undefined)[] = []
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { type: string; ref?: string; error?: object }
    if (message.type !== 'error') return
    refs.push(message.ref)
    expect(message.error).toMatchObject({ code: 'too_many_requests', retryAfter: expect.any(Number) })
  })
  const closed = once(socket, 'close')
  for (let ping = 0; ping < 100; ping++) socket.send(JSON.stringify({ type: 'ping', ref: `${ping}` }))
  const [code] = (await closed) as [number]
  expect(code).toBe(1008)
  expect(refs).toHaveLength(11)
  expect(refs[0]).toMatch(/^\d+$/)
  // The user is blocked for a while, with a token and by any way.
  expectRefusal(await send(`${server.url}/v1/auth/me`, 'GET', { token: await server.token() }), 'too_many_requests')
})

test('a flood of prompts by one user is refused with the time to wait, and another at the same address notices nothing', async () => {
  await using server = await limited('read=600/100', 'execute=20/1', 'failure=50/1')
  const loud = await server.addUser('loud')
  const client: Client = await server.client()
  const flooded = await (await server.client({ token: loud })).sessions.create()
  const mine = await client.sessions.create()
  const url = `${server.url}/v1/sessions/${flooded.id}/execute`
  const socket = await openSocket(server, loud)
  const closed = once(socket, 'close')
  const flood = Promise.all(
    Array.from({ length: 300 }, (_, index) => {
      socket.send(JSON.stringify({ type: 'execute', ref: `${index}`, sessionId: flooded.id, prompt: '@text(x)' }))
      return send(url, 'POST', { token: loud, body: { prompt: '@text(x)' } })
    }),
  )
  const token = await server.token()
  for (let count = 0; count < 50; count++) {
    const looked = await send(`${server.url}/v1/sessions/${mine.id}`, 'GET', { token })
    expect(looked.status).toBe(200)
  }
  const turn = await client.session(mine.id).execute('@text(fine)')
  expect(turn.turnId).toMatch(/^[0-9a-f-]{36}$/)
  const answers = await flood
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused.length).toBeGreaterThanOrEqual(280)
  for (const answer of refused) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(((await closed) as [number])[0]).toBe(1008)
  expect((await client.me()).username).toBe('admin')
})

test('who guesses is blocked before anything is looked at; whoever was known before is still served', async () => {
  await using server = await limited('failure=20/0.01')
  const token = await server.token()
  const client: Client = await server.client()
  await client.me()
  const guess = (path: string) => send(`${server.url}${path}`, 'GET', { token: 'guess' })
  const answers = []
  for (let count = 0; count < 30; count++) answers.push(await guess('/v1/sessions'))
  expect(answers.map(({ status }) => status)).toEqual([...Array(21).fill(401), ...Array(9).fill(429)])
  for (const answer of answers.slice(21)) {
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(toldOf(answer)).toEqual(told('"failure";q=20;w=2000', /^"failure";r=0;t=[1-5]$/))
  }
  // Every way in: without a token, a login, a socket.
  for (const refused of [
    await send(`${server.url}/healthz`, 'GET'),
    await send(`${server.url}/v1/auth/login`, 'POST', { body: { username: 'admin', password: server.password } }),
  ])
    expectRefusal(refused, 'too_many_requests')
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws?ticket=guess`)
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; headers: object }]
  const headers = { 'retry-after': expect.any(String), ratelimit: expect.stringMatching(/^"failure";r=0;t=[1-5]$/) }
  expect(response).toMatchObject({ statusCode: 429, headers })
  expect((await send(`${server.url}/v1/auth/me`, 'GET', { token })).status).toBe(200)
  expect((await client.health()).blocked).toEqual([{ source: '127.0.0.1', seconds: expect.any(Number) }])
  expect((await client.run('@text(fine)')).complete).toMatchObject({ result: 'success' })
  await until('the block is in the log', () =>
    readFileSync(`${server.dataDir}/server.log`, 'utf8').includes('"source":"127.0.0.1","seconds":5'),
  )
})

test('wrong upgrades count as wrong requests do', async () => {
  await using server = await limited('failure=5/0.01')
  const statuses: number[] = []
  for (let count = 0; count < 8; count++) {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws?ticket=guess`)
    const [, { statusCode }] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    statuses.push(statusCode)
  }
  expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429, 429])
})

test('passwords cannot be guessed quickly, and the owner of an account is told how long to wait', async () => {
  await using server = await limited('login=30/0.5')
  const login = (password: string) =>
    send(`${server.url}/v1/auth/login`, 'POST', { body: { username: 'ADMIN', password } })
  const answers = await Promise.all(Array.from({ length: 20 }, () => login('wrong')))
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(3)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(17)
  for (const answer of answers.filter(({ status }) => status === 401))
    expect(toldOf(answer)).toEqual(told('"login";q=30;w=60', /^"login";r=2[789];t=\d+$/))
  const refused = await login(server.password)
  expectRefusal(refused, 'too_many_requests')
  // After failures there is one try, when the delay is over.
  expect(toldOf(refused)).toEqual([
    expect.stringMatching(/^"login";q=1;w=\d+$/),
    `"login";r=0;t=${refused.headers.get('retry-after')}`,
  ])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  // A forged address changes nothing: nobody said that this one is a proxy.
  const forged = await send(`${server.url}/v1/auth/login`, 'POST', {
    body: { username: 'admin', password: server.password },
    headers: { 'x-forwarded-for': '192.0.2.77', forwarded: 'for=192.0.2.77' },
  })
  expectRefusal(forged, 'too_many_requests')
})

test('refreshes, tickets and log-ins by OpenID are limited for the network they come from, each by itself', async () => {
  await using running = await startServerWithProvider(['--rate-limit', 'off', '--rate-limit', 'login=2/0.001'])
  const { server } = running
  const token = await server.token()
  const browser = openBrowser()
  const post = (path: string, given: Parameters<typeof send>[2]) => () => send(`${server.url}${path}`, 'POST', given)
  const ways = {
    refresh: post(routes.auth.refresh.path, { body: { refreshToken: 'guessed' } }),
    ticket: post(routes.auth.ticket.path, { token }),
    start: () => send(`${server.url}${routes.oidc.start.path}`, 'GET'),
  }
  const times = { refresh: 20, ticket: 50, start: 10 }
  for (const [name, ask] of Object.entries(ways)) {
    const first = await ask()
    expect(first.status, name).not.toBe(429)
    const most = 2 * times[name as keyof typeof ways]
    expect(toldOf(first)).toEqual(told(`"login";q=${most};w=2000`, new RegExp(`^"login";r=${most - 1};t=\\d+$`)))
    const refused = await until('it is refused', async () => {
      const answer = await ask()
      return answer.status === 429 ? answer : undefined
    })
    expectRefusal(refused, 'too_many_requests')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(toldOf(refused)).toEqual(told(`"login";q=${most};w=2000`, /^"login";r=0;t=\d+$/))
  }
  // The callback and the end of a log-in count with its start.
  for (const path of [`${routes.oidc.callback.path}?state=x`, routes.oidc.start.path])
    expect((await browser.fetch(`${server.url}${path}`)).status).toBe(429)
  expectRefusal(await post(routes.oidc.finish.path, { body: { code: 'x' } })(), 'too_many_requests')
})

test('behind a trusted proxy its clients are told apart by what it says', async () => {
  await using server = await startTestServer({
    claude: 'fake',
    args: ['--rate-limit', 'off', '--rate-limit', 'read=2/0.01', '--trusted-proxy', '127.0.0.0/8'],
  })
  const from = async (address: string): Promise<number> =>
    (await send(`${server.url}/healthz`, 'GET', { headers: { 'x-forwarded-for': `198.51.100.1, ${address}` } })).status
  const of = async (address: string): Promise<number[]> => {
    const statuses: number[] = []
    for (let count = 0; count < 12; count++) statuses.push(await from(address))
    return statuses
  }
  expect(await of('192.0.2.1')).toEqual([...Array(10).fill(200), 429, 429])
  expect(await from('192.0.2.2')).toBe(200)
  expect(await of('2001:db8::1')).toEqual([...Array(10).fill(200), 429, 429])
  expect(await from('2001:db8::ffff')).toBe(429)
  expect(await from('2001:db8:0:1::1')).toBe(200)
})
