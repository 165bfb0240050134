import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { connect } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { scriptedApi } from './demo/scripted-api.ts'
import { tokensText } from './demo/directives.ts'
import { ask, eventsOf, live, messages, open, testBroker, textOf } from './testing.ts'

const secret = 'sk-the-real-one'
const key = { kind: 'api-key', value: secret } as const

const upstreamWith = async (listener: RequestListener) => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close }
}

test('the session’s token goes in, the real credential goes out, and the answer streams through', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  const headers = { authorization: `Bearer ${broker.token}`, 'x-claude-code-session-id': 'cli' }
  const answer = await ask(broker.socket, { path: '/v1/messages?beta=true', headers, body: messages('@tokens(50)') })

  expect(answer.status).toBe(200)
  expect(answer.headers['request-id']).toMatch(/^req_/)
  expect(textOf(eventsOf(answer.body))).toBe(tokensText(50))
  expect(api.calls).toMatchObject([
    { path: '/v1/messages?beta=true', headers: { apiKey: secret, authorization: null, cliSession: 'cli' } },
  ])
  expect(readFileSync(join(broker.dir, 'broker.log'), 'utf8')).not.toMatch(/sk-the-real-one|aicm-ses/)
})

test('an upstream with a path prefix gets it, and its status, headers and refusals come through as they are', async () => {
  await using upstream = await upstreamWith((request, response) => {
    response.writeHead(429, {
      'retry-after': '7',
      'anthropic-ratelimit-requests-remaining': '0',
      'request-id': 'req_1',
    })
    response.end(request.url)
  })
  await using broker = await testBroker(live(`${upstream.url}/team/a/`, key))
  const answer = await ask(broker.socket, {
    path: '/v1/messages/count_tokens?x=1',
    headers: { 'x-api-key': broker.token },
    body: '{}',
  })
  expect(answer).toMatchObject({
    status: 429,
    body: '/team/a/v1/messages/count_tokens?x=1',
    headers: { 'retry-after': '7', 'anthropic-ratelimit-requests-remaining': '0', 'request-id': 'req_1' },
  })
})

test('a large request arrives whole', async () => {
  await using upstream = await upstreamWith(async (request, response) =>
    response.end(String((await text(request)).length)),
  )
  await using broker = await testBroker(live(upstream.url, key))
  const answer = await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: 'x'.repeat(5_000_000) })
  expect(answer.body).toBe('5000000')
})

test('a child that does not read stops the upstream, and misses nothing when it reads on', async () => {
  let written = 0
  const size = 64 * 1024 * 1024
  const stalled = Promise.withResolvers<void>()
  await using upstream = await upstreamWith(async (_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    while (written < size) {
      written += chunk.length
      if (response.write(chunk)) continue
      const timer = setTimeout(() => stalled.resolve(), 200)
      await once(response, 'drain')
      clearTimeout(timer)
    }
    response.end()
  })
  await using broker = await testBroker(live(upstream.url, key))
  const answer = await open(broker.socket, { headers: { 'x-api-key': broker.token }, body: '{}' })
  await stalled.promise
  expect(written).toBeLessThan(size / 2)

  let received = 0
  for await (const chunk of answer) received += chunk.length
  expect(received).toBe(size)
})

test('when the child goes away the upstream’s request is aborted', async () => {
  const aborted = Promise.withResolvers<void>()
  await using upstream = await upstreamWith((_request, response) => {
    response.once('close', () => aborted.resolve())
    response.writeHead(200)
    response.write('first')
  })
  await using broker = await testBroker(live(upstream.url, key))
  const answer = await open(broker.socket, { headers: { 'x-api-key': broker.token }, body: '{}' })
  await once(answer, 'data')
  answer.destroy()
  await aborted.promise
  await expect.poll(async () => (await broker.control.status()).activeRequests).toBe(0)
})

test('headers arrive before the first byte of the body does', async () => {
  await using upstream = await upstreamWith((_request, response) => {
    response.writeHead(200)
    response.flushHeaders()
  })
  await using broker = await testBroker(live(upstream.url, key))
  const answer = await open(broker.socket, { headers: { 'x-api-key': broker.token }, body: '{}' })
  expect(answer.statusCode).toBe(200)
  answer.destroy()
})

test('a stream that breaks off upstream breaks off for the child, it does not end', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  const headers = { 'x-api-key': broker.token }
  const body = messages('@reset(5)')
  await expect(ask(broker.socket, { headers, body })).rejects.toThrow('aborted')
  expect(textOf(eventsOf((await ask(broker.socket, { headers, body })).body))).toBe(tokensText(5))
})

test('an upstream that cannot be reached is a 502 that names the cause and no secret, also after a large request', async () => {
  await using broker = await testBroker(live('http://127.0.0.1:9', key))
  const answer = await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: 'x'.repeat(2_000_000) })
  expect(answer.status).toBe(502)
  expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type: 'api_error' } })
  expect(answer.body).toContain('ECONNREFUSED')
  expect(answer.body).not.toContain(secret)
})

test('a refusal before the request was read reaches the child', async () => {
  await using upstream = await upstreamWith((_request, response) =>
    response.writeHead(413, { connection: 'close' }).end('too large'),
  )
  await using broker = await testBroker(live(upstream.url, key))
  const answer = await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: 'x'.repeat(300_000) })
  expect(answer).toMatchObject({ status: 413, body: 'too large' })
})

test('without the token of a session nothing is forwarded', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  for (const headers of [
    {},
    { 'x-api-key': secret },
    { 'x-api-key': `${broker.token}x` },
    { authorization: 'Basic abc' },
  ]) {
    const answer = await ask(broker.socket, { headers, body: messages('hello') })
    expect(answer.status).toBe(401)
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type: 'authentication_error' } })
  }
  expect(api.calls).toEqual([])
})

test.each([
  '/v1/models',
  '/v1/messagesx',
  '/v1/messages/',
  '/v1/messages/batches',
  '/v1/messages/../models',
  '/v1/messages/..%2fmodels',
  '/v1/messages/%2e%2e/models',
  '/v1/messages//x',
  '/v1/./messages',
  '//v1/messages',
  '/v1/messages\\..\\models',
  '/v1/messages;x',
  '/V1/messages',
  '/',
])('the path %s is not forwarded', async (path) => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  expect(
    (await ask(broker.socket, { path, headers: { 'x-api-key': broker.token }, body: messages('hello') })).status,
  ).toBe(404)
  expect(api.calls).toEqual([])
})

test('only POST is forwarded, and a look whether somebody is there is answered here', async () => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  const headers = { 'x-api-key': broker.token }
  expect(await ask(broker.socket, { method: 'GET', headers })).toMatchObject({
    status: 405,
    headers: { allow: 'POST' },
  })
  expect((await ask(broker.socket, { method: 'HEAD', path: '/' })).status).toBe(200)
  expect((await ask(broker.socket, { method: 'HEAD', path: '/api/hello' })).status).toBe(200)
  expect(api.calls).toEqual([])
})

test.each([
  ['CONNECT example.com:443 HTTP/1.1', 'HTTP/1.1 405'],
  ['POST http://example.com/v1/messages HTTP/1.1', 'HTTP/1.1 400'],
])('%s is refused', async (line, refusal) => {
  const api = scriptedApi()
  await using upstream = await api.listen()
  await using broker = await testBroker(live(upstream.url, key))
  const socket = connect(broker.socket)
  socket.write(
    `${line}\r\nHost: example.com\r\nx-api-key: ${broker.token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  )
  expect(await text(socket)).toContain(refusal)
  expect(api.calls).toEqual([])
})

test('an upstream that fails again and again is left alone, and asked again after a while', async () => {
  let asked = 0
  await using upstream = await upstreamWith((_, response) => {
    asked++
    response.writeHead(500).end('{}')
  })
  await using broker = await testBroker(live(upstream.url, key))
  const call = () => ask(broker.socket, { path: '/v1/messages', headers: { 'x-api-key': broker.token }, body: '{}' })
  for (let failure = 0; failure < 10; failure++) expect((await call()).status).toBe(500)
  const refused = await call()
  expect(refused).toMatchObject({ status: 529, headers: { 'retry-after': '10' } })
  expect(JSON.parse(refused.body)).toMatchObject({ error: { type: 'overloaded_error' } })
  expect(asked).toBe(10)
  expect((await broker.control.status()).credentials[0]?.breaker).toBe('open')
})

test('refusals and children that go away are no failures of the upstream', async () => {
  let asked = 0
  await using upstream = await upstreamWith((_, response) => {
    asked++
    response.writeHead(429).end('{}')
  })
  await using broker = await testBroker(live(upstream.url, key))
  for (let refusal = 0; refusal < 15; refusal++)
    await ask(broker.socket, { path: '/v1/messages', headers: { 'x-api-key': broker.token }, body: '{}' })
  expect(asked).toBe(15)
  expect((await broker.control.status()).credentials[0]?.breaker).toBe('closed')
})
