import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Session, Tokens } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { freePort, runServer } from '@aicm/testing/run-server'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { send } from './lib/http.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
let dir: string
let server: TestServer

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-listen-'))
  server = await startTestServer({
    claude: 'fake',
    args: ['--request-timeout', '1500ms', '--max-connections-per-address', '20'],
  })
})
afterAll(async () => {
  await server?.stop()
  rmSync(dir, { recursive: true, force: true })
})

/** Of a server that does not start: its exit code and what it says. */
const failedStart = async (...args: string[]) => {
  const { exited, output, listening } = runServer({
    args: ['--port', `${await freePort()}`, '--data-dir', dir, ...args],
    env: { PATH: process.env.PATH ?? '', HOME: dir },
    cwd: dir,
  })
  listening.catch(() => undefined)
  return { code: (await exited).code, output: output() }
}

test('it does not listen where others could reach it without TLS, unless that is wanted', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org']) {
    const { code, output } = await failedStart('--host', host)
    expect(code).toBe(2)
    expect(output).toContain('--tls-cert')
    expect(output).toContain('--insecure-http')
  }
  await using open = await startTestServer({ claude: 'fake', args: ['--host', '0.0.0.0', '--insecure-http'] })
  await until('the banner', () => open.output().includes('INSECURE: HTTP without TLS'))
  expect((await send(`${open.url}/healthz`, 'GET')).status).toBe(200)
})

test('what it cannot listen on or with is said in words', async () => {
  const { port } = new URL(server.url)
  expect(await failedStart('--port', port)).toMatchObject({ code: 1, output: expect.stringContaining('is in use') })
  expect(await failedStart('--host', '192.0.2.1', '--insecure-http')).toMatchObject({
    code: 1,
    output: expect.stringContaining('192.0.2.1 is no address of this machine'),
  })
  expect(await failedStart('--tls-cert', '/nonexistent')).toMatchObject({
    code: 2,
    output: expect.stringContaining('TLS needs both'),
  })
  expect(await failedStart('--tls-cert', '/nonexistent', '--tls-key', '/nonexistent')).toMatchObject({
    code: 1,
    output: expect.stringContaining('/nonexistent cannot be read (ENOENT)'),
  })
  const noCertificate = fileURLToPath(import.meta.url)
  expect(await failedStart('--tls-cert', noCertificate, '--tls-key', noCertificate)).toMatchObject({
    code: 1,
    output: expect.stringContaining('no certificate and its private key'),
  })
  for (const args of [
    ['--rate-limit', 'read=none'],
    ['--quota', 'sessions=many'],
    ['--trusted-proxy', 'proxy.example'],
    ['--trusted-proxy', '10.0.0.0/33'],
    ['--max-connections', '0'],
  ])
    expect((await failedStart(...args)).code).toBe(2)
})

const open = async (): Promise<Socket> => {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

test('headers and bodies that trickle in are ended with 408, and hold nobody else up', async () => {
  const token = await server.token()
  const starts = [
    'GET /healthz HTTP/1.1\r\nhost: localhost\r\n',
    `POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`,
    `POST /v1/auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
  ]
  const slow = await Promise.all(
    starts.map(async (start) => {
      const socket = await open()
      socket.write(start)
      const drip = setInterval(() => socket.writable && socket.write(start.endsWith('{\r\n') ? '1\r\n \r\n' : 'x'), 100)
      const answer = await text(socket)
      clearInterval(drip)
      return answer
    }),
  )
  for (const answer of slow) expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/)
  expect((await send(`${server.url}/healthz`, 'GET')).status).toBe(200)
})

test('too many connections of one address are closed as they come, and there is room again when some have ended', async () => {
  const sockets = await Promise.all(Array.from({ length: 40 }, open))
  await until(
    'the surplus was closed',
    () => sockets.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length >= 20,
  )
  for (const socket of sockets) socket.destroy()
  await until('it answers again', () =>
    send(`${server.url}/healthz`, 'GET').then(
      ({ status }) => status === 200,
      () => false,
    ),
  )
})

test('there are no more connections than there may be in all, of whatever kind, and those that are there go on', async () => {
  await using small = await startTestServer({ claude: 'fake', args: ['--max-connections', '4'] })
  const { host, hostname, port } = new URL(small.url)
  const kept = new Agent({ keepAlive: true, maxSockets: 1 })
  const begin = async (path: string, options: RequestOptions & { body?: object } = {}): Promise<IncomingMessage> => {
    const { body, ...rest } = options
    const headers = { 'content-type': 'application/json', ...rest.headers }
    const asked = request({ hostname, port, path, agent: false, ...rest, headers })
    asked.end(body === undefined ? undefined : JSON.stringify(body))
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return answer
  }
  const post = async <T>(path: string, body: object, headers = {}): Promise<T> =>
    JSON.parse(await text(await begin(path, { method: 'POST', agent: kept, headers, body }))) as T
  const plain = async (): Promise<Socket> => {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }

  // One of each kind: kept alive, WebSocket, event stream, and one that has asked nothing yet.
  const { accessToken } = await post<Tokens>('/v1/auth/login', { username: 'admin', password: small.password })
  const headers = { authorization: `Bearer ${accessToken}` }
  const { id } = await post<Session>('/v1/sessions', {}, headers)
  const socket = await openSocket(`${small.url}/v1/ws`, { headers })
  const events = `/v1/sessions/${id}/events`
  const stream = await begin(events, { headers: { ...headers, accept: 'text/event-stream' } })
  const silent = await plain()

  expect(await text(await plain())).toBe('')
  await expect(begin('/healthz')).rejects.toThrow(/hang up|ECONNRESET/)
  await expect(begin(events, { headers: { ...headers, accept: 'text/event-stream' } })).rejects.toThrow(
    /hang up|ECONNRESET/,
  )
  await expect(openSocket(`${small.url}/v1/ws`, { headers })).rejects.toThrow(/hang up|ECONNRESET/)

  socket.send({ type: 'execute', ref: 'a', sessionId: id, prompt: '@text(fine)' })
  await socket.next('accepted')
  let read = ''
  for await (const part of stream.setEncoding('utf8')) if ((read += part).includes('event: complete')) break
  expect((await begin('/healthz', { agent: kept })).resume().statusCode).toBe(200)
  silent.write(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
  expect(await text(silent)).toMatch(/^HTTP\/1\.1 200 /)
  await until('there is room again', () =>
    begin('/healthz').then(
      (answer) => answer.resume().statusCode === 200,
      () => false,
    ),
  )
  socket.close()
  kept.destroy()
})

test('a body of a gigabyte is refused without being read', async () => {
  const token = await server.token()
  const socket = await open()
  const size = 2 ** 30
  socket.write(
    `POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${size}\r\n\r\n`,
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 413 /)
  socket.destroy()
})
