import { createHmac } from 'node:crypto'
import { request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Client } from '@aicm/client'
import { resourceNames, routes, type Route } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { allRoutes, notFoundCode, pathWith, unknownId, validBody } from './lib/routes.ts'
import { pendingApproval } from './lib/turns.ts'

const test = requires('claude', 'linux')
const page = 'https://page.example'
let server: TestServer
let client: Client
let token: string
let strangerToken: string

beforeAll(async () => {
  // What the routes are given here are no credentials to be used.
  server = await startTestServer({ args: ['--model-api', 'demo', '--allow-origin', page] })
  strangerToken = await server.addUser('stranger')
  client = await server.client()
  token = await server.token()
})
afterAll(() => server?.stop())

const bearerRoutes = allRoutes.filter(({ auth }) => auth !== 'none')
const bodyRoutes = allRoutes.filter(({ body }) => body !== undefined)
const idRoutes = allRoutes.filter(({ params }) => params !== undefined)
const name = ({ method, path }: Route): string => `${method} ${path}`

const call = (route: Route, options: Parameters<typeof send>[2] & { id?: string; query?: string } = {}) =>
  send(`${server.url}${pathWith(route, options.id ?? unknownId(route))}${options.query ?? ''}`, route.method, options)

/** With a body wherever the route has one. */
const callValid = (route: Route, options: Parameters<typeof call>[1] = {}) =>
  call(route, { token, ...(route.body === undefined ? {} : { body: validBody(route) }), ...options })

const jwt = (header: object, claims: object, key = 'guessed'): string => {
  const unsigned = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${unsigned}.${createHmac('sha256', key).update(unsigned).digest('base64url')}`
}

describe('without a good token nothing is answered', () => {
  for (const route of bearerRoutes)
    test(name(route), async () => {
      const claims = {
        ...{ sub: 'usr_0123456789abcdefghjkmnpqrs', sid: 'lgn_0123456789abcdefghjkmnpqrs' },
        ...{ iss: 'aicm', aud: 'aicm-api', iat: 1, exp: 4e9, jti: 'x' },
      }
      const tokens = [
        undefined,
        'garbage',
        token.slice(0, -2),
        `${token.split('.').slice(0, 2).join('.')}.`,
        jwt({ alg: 'HS256', typ: 'at+jwt' }, claims),
        `${jwt({ alg: 'none', typ: 'at+jwt' }, claims).split('.').slice(0, 2).join('.')}.`,
      ]
      for (const bad of tokens) {
        const answer = await callValid(route, { token: bad })
        expectRefusal(answer, 'unauthorized')
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
      expectRefusal(
        await callValid(route, { token: undefined, headers: { authorization: `Basic ${btoa('admin:x')}` } }),
        'unauthorized',
      )
      // In a URL it does not count, whatever the key is called.
      for (const key of ['token', 'access_token', 'ticket'])
        expectRefusal(await callValid(route, { token: undefined, query: `?${key}=${token}` }), 'unauthorized')
    })
})

describe('a query that is not listed is refused', () => {
  // A provider may add what it likes to the address of the callback.
  for (const route of allRoutes.filter(({ id }) => id !== 'oidcCallback'))
    test(name(route), async () => {
      for (const query of ['?unknown=1', `?token=${token}`, '?__proto__=1', '?constructor=1'])
        expectRefusal(await callValid(route, { query }), 'invalid_request')
    })

  test('and so are values out of range', async () => {
    const { id } = await client.sessions.create()
    const queries = [
      'limit=0',
      'limit=-1',
      'limit=1.5',
      'limit=abc',
      'limit=1000000000',
      'limit=1&limit=2',
      'limit=',
      'status=nonsense',
      'workspaceId=ses_x',
      'cursor=%00',
      'text=',
      `text=${'x'.repeat(300)}`,
    ]
    for (const query of queries)
      expectRefusal(await send(`${server.url}/v1/sessions?${query}`, 'GET', { token }), 'invalid_request')
    const events = `${server.url}/v1/sessions/${id}/events`
    for (const query of [
      'after=abc',
      'after=-1',
      'after=1:2',
      'after=1:a:b',
      'after=99999999999999999999',
      'after=1%0a',
      'limit=0',
      'limit=10001',
    ])
      expectRefusal(await send(`${events}?${query}`, 'GET', { token }), 'invalid_request', 'invalid_cursor')
    for (const accept of ['application/json', 'text/event-stream']) {
      expectRefusal(await send(`${events}?after=123456`, 'GET', { token, headers: { accept } }), 'invalid_cursor')
      expectRefusal(
        await send(events, 'GET', { token, headers: { accept, 'last-event-id': 'nonsense' } }),
        'invalid_cursor',
      )
    }
  })
})

describe('a body that is not what the route takes is refused', () => {
  for (const route of bodyRoutes)
    test(name(route), async () => {
      const good = validBody(route)
      const refuse = async (body: unknown, headers: Record<string, string> = {}) =>
        call(route, { token, body, headers })

      for (const extra of [
        { unknown: 1 },
        { userId: 'usr_0123456789abcdefghjkmnpqrs' },
        { env: { A: '1' } },
        { command: 'id' },
      ])
        expectRefusal(await refuse({ ...good, ...extra }), 'invalid_request')
      for (const body of [[], [good], 'text', 5, true, null])
        expectRefusal(await refuse(JSON.stringify(body)), 'invalid_request')
      const keys = Object.keys(propertiesOf(route))
      for (const key of keys)
        for (const value of [null, {}, [], 5.5, '', 'x\u0000y', 'x'.repeat(200_001)]) {
          if (isRight(key, value)) continue
          expectRefusal(await refuse({ ...good, [key]: value }), 'invalid_request')
        }

      for (const body of ['{', '{"a":}', 'null x', "{'a':1}", '\ufeff', '{"a":1}{"b":2}', '{"a":undefined}'])
        expectRefusal(await refuse(body), 'invalid_json')
      for (const deep of ['['.repeat(100_000), '{"a":'.repeat(100_000), `${'['.repeat(100_000)}${']'.repeat(100_000)}`])
        expectRefusal(await refuse(deep), 'invalid_json')
      for (const key of ['__proto__', 'constructor'])
        expectRefusal(await refuse(`{"${key}":{"prototype":{"admin":true}}}`), 'invalid_json', 'invalid_request')

      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
        'application/xml',
        'x',
      ])
        expectRefusal(await refuse(JSON.stringify(good), { 'content-type': type }), 'unsupported_media_type')
    })

  test('with more bytes than it takes', async () => {
    const { id } = await client.sessions.create()
    const megabyte = 'x'.repeat(1024 * 1024)
    expectRefusal(
      await send(`${server.url}/v1/sessions`, 'POST', { token, body: { systemPrompt: megabyte } }),
      'payload_too_large',
    )
    expectRefusal(
      await send(`${server.url}/v1/auth/login`, 'POST', { body: { username: megabyte, password: 'x' } }),
      'payload_too_large',
    )
    const content = Array.from({ length: 40 }, () => ({ type: 'text', text: megabyte }))
    expectRefusal(
      await send(`${server.url}/v1/sessions/${id}/execute`, 'POST', { token, body: { content } }),
      'payload_too_large',
    )
    expectRefusal(
      await send(`${server.url}/v1/sessions/${id}/execute`, 'POST', { token, body: { prompt: megabyte } }),
      'invalid_request',
    )
  })

  test('a prompt that is no prompt', async () => {
    const { id } = await client.sessions.create()
    const image = (source: object) => ({
      content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA', ...source } }],
    })
    const bodies = [
      {},
      { prompt: '' },
      { prompt: 'a', content: [{ type: 'text', text: 'b' }] },
      { content: [] },
      { content: 'text' },
      { content: [{ type: 'text' }] },
      { content: [{ type: 'text', text: 'a', cache_control: {} }] },
      { content: [{ type: 'tool_result', tool_use_id: 'x', content: 'y' }] },
      { content: Array.from({ length: 101 }, () => ({ type: 'text', text: 'a' })) },
      image({ media_type: 'image/svg+xml' }),
      image({ data: 'not base64!' }),
      image({ type: 'url', url: 'http://169.254.169.254/' }),
      { prompt: 'a', id: 'not-a-uuid' },
      { prompt: 'a', id: '00000000-0000-4000-8000-00000000000G' },
      { prompt: 'a', id: '00000000-0000-4000-8000-00000000000A' },
    ]
    for (const body of bodies)
      expectRefusal(await send(`${server.url}/v1/sessions/${id}/execute`, 'POST', { token, body }), 'invalid_request')
  })

  test('a model, a name or a mode that could be taken for something else', async () => {
    for (const model of [
      '--dangerously-skip-permissions',
      '-p',
      'a b',
      'a\nb',
      '$(id)',
      'a;id',
      '',
      'x'.repeat(200),
      '../x',
    ])
      expectRefusal(await send(`${server.url}/v1/sessions`, 'POST', { token, body: { model } }), 'invalid_request')
    for (const name of ['a\nb', '\u001b[31mred', 'a\u0000', '', 'x'.repeat(101)])
      expectRefusal(await send(`${server.url}/v1/sessions`, 'POST', { token, body: { name } }), 'invalid_request')
    for (const permissionMode of ['bypassPermissions', 'default --x', ''])
      expectRefusal(
        await send(`${server.url}/v1/sessions`, 'POST', { token, body: { permissionMode } }),
        'invalid_request',
      )
    for (const maxTurns of [0, -1, 1.5, 1e9, '5'])
      expectRefusal(await send(`${server.url}/v1/sessions`, 'POST', { token, body: { maxTurns } }), 'invalid_request')
  })
})

describe('an id that is none, is unknown, or is of somebody else', () => {
  for (const route of idRoutes)
    test(name(route), async () => {
      for (const id of [
        'x',
        'ses_',
        '%00',
        '..%2f..%2fetc',
        `ses_${'!'.repeat(26)}`,
        unknownId(route).toUpperCase(),
        `${unknownId(route)}%0a`,
        '%F0%9F%92%A9',
        '%zz',
        '%',
        "'%20OR%201=1--",
      ])
        expectRefusal(await callValid(route, { id }), 'invalid_request', 'not_found')
      expectRefusal(await callValid(route, { id: 'x'.repeat(300) }), 'not_found', 'invalid_request')
      expectRefusal(await callValid(route), notFoundCode(route))

      // Who is there is an administrator's affair; somebody else is told nothing of it.
      if (route.auth === 'users.manage' || route.auth === 'server.manage')
        return expectRefusal(await callValid(route, { token: strangerToken }), 'forbidden')
      const mine = await idFor(route)
      const foreign = await callValid(route, { id: mine, token: strangerToken })
      expectRefusal(foreign, notFoundCode(route))
      // It differs from the answer to an unknown id by nothing but the id.
      const unknown = await callValid(route, { token: strangerToken })
      const message = (answer: { body: unknown }) => (answer.body as { error: { message: string } }).error.message
      expect(message(foreign).replace(mine, '')).toBe(message(unknown).replace(unknownId(route), ''))
    })

  test("lists hold one's own only, and a foreign workspace cannot be used", async () => {
    const { id, workspaceId } = await client.sessions.create()
    const stranger = await server.client({ token: strangerToken })
    expect(await stranger.sessions.list()).toEqual({ sessions: [], nextCursor: null })
    expect(await stranger.workspaces.list()).toEqual([])
    expect(await stranger.approvals.list()).toEqual([])
    await expect(stranger.approvals.list({ sessionId: id })).rejects.toMatchObject({ code: 'session_not_found' })
    await expect(stranger.sessions.create({ workspaceId })).rejects.toMatchObject({ code: 'workspace_not_found' })
    const once = await send(`${server.url}/v1/execute`, 'POST', {
      token: strangerToken,
      body: { prompt: 'x', workspaceId },
    })
    expectRefusal(once, 'workspace_not_found')
    await expect(stranger.sessions.list({ workspaceId })).resolves.toMatchObject({ sessions: [] })
  })
})

test('what a closed session cannot do any more is a conflict', async () => {
  const { id } = await client.sessions.create()
  await client.session(id).close()
  const at = (path: string, method: string, body?: unknown) =>
    send(`${server.url}/v1/sessions/${id}${path}`, method, { token, body })
  expectRefusal(await at('/execute', 'POST', { prompt: 'hello' }), 'session_closed')
  expectRefusal(await at('/interrupt', 'POST'), 'no_turn_running')
  expect(await at('/close', 'POST')).toMatchObject({ status: 200, body: { status: 'closed' } })
  expect(await at('/events', 'GET')).toMatchObject({ status: 200 })
})

test('another method is 405 and says which there are; another path is 404', async () => {
  for (const route of allRoutes)
    for (const method of ['PUT', 'TRACE-X', 'GET', 'POST', 'PATCH', 'DELETE']) {
      const there = allRoutes.filter(({ path }) => path === route.path).map((other) => other.method)
      if (method === 'TRACE-X' || there.includes(method as Route['method'])) continue
      const answer = await send(`${server.url}${pathWith(route, unknownId(route))}`, method, { token })
      expectRefusal(answer, 'method_not_allowed')
      expect(answer.headers.get('allow')?.split(', ').toSorted()).toEqual([...there].toSorted())
    }
  for (const path of [
    '/v1',
    '/v1/',
    '/v1/nothing',
    '/v1/sessions/',
    '/v1//sessions',
    '/v1/sessions/x/y/z',
    '/v2/sessions',
    '/nothing',
    '/..%2f..%2fetc/passwd',
    '/assets/../../../package.json',
    '/%2e%2e/%2e%2e/package.json',
    '/assets/%00',
    '/v1/sessions%00',
  ])
    expectRefusal(await send(`${server.url}${path}`, 'GET', { token }), 'not_found', 'invalid_request')
  // Behind /v1 nothing is told without a token.
  expectRefusal(await send(`${server.url}/v1/nothing`, 'GET'), 'unauthorized')
})

/** A request with any header, as no fetch sends it. */
const sendRaw = async (path: string, headers: Record<string, string>, method = 'GET') => {
  const { hostname, port } = new URL(server.url)
  const sent = request({
    hostname,
    port,
    path,
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
    agent: false,
  })
  sent.end()
  const [answer] = (await new Promise<unknown[]>((resolve, reject) => {
    sent.once('response', (response) => resolve([response]))
    sent.once('error', reject)
  })) as [import('node:http').IncomingMessage]
  return {
    asked: `${method} ${path} ${JSON.stringify(headers)}`,
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: JSON.parse(await text(answer)) as unknown,
  }
}

/** Whatever the bytes are; gives all that is answered. */
const sendBytes = async (bytes: string | Buffer): Promise<string> => {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.end(bytes)
  return text(socket)
}

test('a foreign Host is refused before anything else, by exact name', async () => {
  const { port } = new URL(server.url)
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'xlocalhost',
    'localhost:1@evil.example',
  ])
    for (const path of ['/v1/sessions', '/healthz', '/openapi.json', '/'])
      expectRefusal(await sendRaw(path, { host }), 'misdirected_request')
  for (const start of ['GET /v1/sessions HTTP/1.1\r\nhost: \r\n', 'GET /v1/sessions HTTP/1.0\r\n'])
    expect(await sendBytes(`${start}authorization: Bearer ${token}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 421 [\s\S]*"code":"misdirected_request"/,
    )
  for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', `[::1]:${port}`, 'LOCALHOST'])
    expect((await sendRaw('/v1/sessions', { host })).status).toBe(200)
})

test('a foreign Origin is refused, its preflight too', async () => {
  const { host, port } = new URL(server.url)
  for (const origin of [
    'http://evil.example',
    'null',
    `http://${host}.evil.example`,
    `http://localhost:${Number(port) + 1}`,
    `http://evil.example:${port}`,
    `${server.url}/`,
    'file://',
    '',
  ])
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      const answer = await sendRaw('/v1/sessions', { host, origin }, method)
      expectRefusal(answer, 'origin_forbidden')
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
  expect((await sendRaw('/v1/sessions', { host, origin: server.url })).status).toBe(200)
})

test('a page of an allowed origin may ask and read, refusals too; one whose origin only looks like it may not', async () => {
  const url = `${server.url}/v1/sessions`
  const preflight = (origin: string, method: string) =>
    send(url, 'OPTIONS', {
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'authorization' },
    })
  for (const method of new Set(allRoutes.map((route) => route.method))) {
    const { status, text: body, headers } = await preflight(page, method)
    expect([status, body]).toEqual([204, ''])
    expect(headers.get('access-control-allow-origin')).toBe(page)
    expect(headers.get('vary')).toBe('origin')
    expect(headers.get('access-control-allow-methods')?.split(', ')).toContain(method)
    expect(headers.get('access-control-allow-headers')?.split(', ')).toEqual(
      expect.arrayContaining(['authorization', 'content-type', 'last-event-id', 'if-match', 'range']),
    )
    // It logs in by a token that it sends itself: no cookie of a browser's goes along.
    expect(headers.get('access-control-allow-credentials')).toBeNull()
  }
  const headers = { origin: page }
  const answers = [
    [200, await send(url, 'GET', { token, headers })],
    [201, await send(url, 'POST', { token, headers, body: {} })],
    [401, await send(url, 'GET', { headers })],
    [404, await send(`${url}/ses_0123456789abcdefghjkmnpqrs`, 'GET', { token, headers })],
  ] as const
  for (const [status, answer] of answers) {
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([status, page])
    expect(answer.headers.get('vary')).toBe('origin')
    expect(answer.headers.get('access-control-expose-headers')?.split(', ')).toEqual(
      expect.arrayContaining(['x-request-id', 'retry-after', 'ratelimit', 'ratelimit-policy', 'etag', 'content-range']),
    )
  }
  for (const origin of [`${page}.evil.example`, `${page}:444`, 'http://page.example', 'https://sub.page.example'])
    for (const answer of [await preflight(origin, 'GET'), await send(url, 'GET', { token, headers: { origin } })]) {
      expectRefusal(answer, 'origin_forbidden')
      for (const name of answer.headers.keys()) expect(name).not.toMatch(/^access-control/)
    }
})

test('what is no HTTP gets an answer all the same, and the server goes on', async () => {
  for (const bytes of [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /\u0000 HTTP/1.1\r\nhost: localhost\r\n\r\n',
    Buffer.from([0, 1, 2, 255, 10, 10]),
    'POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ])
    expect(await sendBytes(bytes)).toMatch(/^HTTP\/1\.1 400 /)
  const huge = `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`
  expect(await sendBytes(huge)).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"invalid_request"/)
  expect(await sendBytes('')).toBe('')
})

test('a wrong password says the same as an unknown user', async () => {
  const attempt = (username: string, password: string) =>
    send(`${server.url}/v1/auth/login`, 'POST', { body: { username, password } })
  const answers = [await attempt('admin', 'wrong'), await attempt('nobody', 'wrong'), await attempt("' OR 1=1 --", 'x')]
  for (const answer of answers) expectRefusal(answer, 'invalid_credentials')
  const messages = answers.map(({ body }) => (body as { error: { message: string } }).error.message)
  expect(new Set(messages).size).toBe(1)
})

test('after all of it the server works, and no secret is in its log', async () => {
  const { complete } = await client.run('@text(fine)')
  expect(complete).toMatchObject({ result: 'success', text: 'fine' })
  expect(await client.health()).toMatchObject({ status: expect.stringMatching(/ok|degraded/), claude: { error: null } })
  const { readFileSync } = await import('node:fs')
  const log = readFileSync(`${server.dataDir}/server.log`, 'utf8')
  expect(log).not.toContain(token)
  expect(log).not.toContain(server.password)
  expect(log).not.toMatch(/"level":(50|60)/)
})

/** Something of admin's that the route can be asked for. */
const idFor = async (route: Route): Promise<string> => {
  const { id, workspaceId } = await client.sessions.create()
  if (route.path.startsWith('/v1/workspaces')) return workspaceId
  if (route.tag === 'credentials')
    return (await client.call(routes.credentials.create, { body: { kind: 'api-key', value: 'sk-not-real' } })).id
  if (route.tag === 'keys')
    return (await client.call(routes.keys.create, { body: { name: 'k', permissions: ['sessions.read'] } })).id
  if (route.tag === 'auth') return (await client.call(routes.auth.logins, {})).logins[0]?.id ?? 'no login'
  if (route.tag !== 'approvals') return id
  const session = client.session(id)
  session.execute('@write(x.txt|y)').accepted.catch(() => undefined)
  return (await pendingApproval(session)).approvalId
}

const propertiesOf = ({ body }: Route): Record<string, unknown> =>
  body !== undefined && 'properties' in body ? (body.properties as Record<string, unknown>) : {}

/** Values of the table that a key takes. */
const isRight = (key: string, value: unknown): boolean =>
  (key === 'updatedInput' && JSON.stringify(value) === '{}') ||
  (['prompt', 'systemPrompt', 'message', 'password', 'username', 'currentPassword', 'refreshToken'].includes(key) &&
    value === 'x\u0000y') ||
  (key === 'prompt' && typeof value === 'string' && value.length > 100_000) ||
  (key === 'message' && value === '') ||
  (['day', 'month', 'sessions', 'prompts', 'connections', 'bytes', ...resourceNames].includes(key) && value === null) ||
  (key === 'cpus' && value === 5.5) ||
  (['readOnlyMounts', 'allowedTools', 'disallowedTools'].includes(key) && JSON.stringify(value) === '[]')
