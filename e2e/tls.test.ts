import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { request, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import type { AuditEntry } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { WebSocket } from 'ws'
import { startAicm } from './lib/aicm.ts'
import { makeCertificate, replaceFile } from './lib/certificates.ts'

const test = requires('claude', 'linux', 'openssl')
let dir: string
let server: TestServer
let files: { cert: string; key: string }
let port: number

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-tls-'))
  files = makeCertificate(dir, 'first')
  server = await startTestServer({
    args: ['--tls-cert', files.cert, '--tls-key', files.key, '--request-timeout', '3s'],
  })
  port = Number(new URL(server.url).port)
})
afterAll(async () => {
  await server?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const ca = (): Buffer => readFileSync(files.cert)

const ask = async (path: string, options: RequestOptions & { body?: object } = {}) => {
  const { body, ...rest } = options
  const asked = request({ host: '127.0.0.1', port, path, ca: ca(), agent: false, ...rest })
  asked.end(body === undefined ? undefined : JSON.stringify(body))
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
}

const logIn = async (): Promise<string> => {
  const body = { username: 'admin', password: server.password }
  const headers = { 'content-type': 'application/json' }
  const answer = await ask('/v1/auth/login', { method: 'POST', headers, body })
  return (JSON.parse(answer.body) as { accessToken: string }).accessToken
}

const handshake = async (options: object = {}): Promise<TLSSocket> => {
  const socket = connect({ host: '127.0.0.1', port, ca: ca(), ...options })
  await once(socket, 'secureConnect')
  return socket
}

test('it says what it speaks, answers over TLS, and tells browsers to come by TLS only', async () => {
  await until('the banner', () => server.output().includes('HTTPS and HTTP/2'))
  expect(server.output()).toContain(`listens on https://127.0.0.1:${port}`)
  const answer = await ask('/healthz')
  expect(answer.status).toBe(200)
  expect(answer.headers['strict-transport-security']).toBe('max-age=31536000')
})

test('without TLS nothing is answered on the port', async () => {
  const asked = httpRequest({ host: '127.0.0.1', port, path: '/healthz', agent: false })
  asked.end()
  await expect(once(asked, 'response')).rejects.toMatchObject({ code: expect.any(String) })
})

test('versions of TLS before 1.2 are refused', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
  await expect(handshake(old)).rejects.toMatchObject({ code: expect.any(String) })
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const socket = await handshake({ minVersion: version, maxVersion: version })
    expect(socket.getProtocol()).toBe(version)
    socket.destroy()
  }
})

test('HTTP/2 serves the API, its refusals, the checks of names and a live stream', async () => {
  const token = await logIn()
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca() })
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const stream = session.request({ ':path': path, authorization: `Bearer ${token}`, ...headers })
    const [answer] = (await once(stream, 'response')) as [Record<string, string | number>]
    return { stream, answer, status: answer[':status'] }
  }
  const me = await get('/v1/auth/me')
  expect(me.status).toBe(200)
  expect(JSON.parse(await text(me.stream))).toMatchObject({ username: 'admin' })
  expect((await get('/v1/nothing')).status).toBe(404)
  expect((await get('/v1/auth/me', { ':authority': 'evil.example' })).status).toBe(421)
  expect((await get('/v1/auth/me', { origin: `http://127.0.0.1:${port}` })).status).toBe(403)
  expect((await get('/v1/auth/me', { origin: `https://127.0.0.1:${port}` })).status).toBe(200)

  const prompted = session.request({
    ':path': '/v1/execute',
    ':method': 'POST',
    authorization: `Bearer ${token}`,
    accept: 'text/event-stream',
    'content-type': 'application/json',
  })
  prompted.end(JSON.stringify({ prompt: '@text(over two)' }))
  const streamed = await text(prompted)
  expect(streamed).toContain('event: complete')
  expect(streamed).toContain('over two')
  session.close()
})

test('event streams over one HTTP/2 connection count each, and nothing is left of one that is reset at once', async () => {
  const headers = { authorization: `Bearer ${await logIn()}`, 'content-type': 'application/json' }
  const call = async (method: string, path: string, body?: object) =>
    JSON.parse((await ask(path, { method, headers, ...(body && { body }) })).body) as {
      id: string
      connections: object
    }
  const { id } = await call('POST', '/v1/sessions', {})
  const quotas = `/v1/users/${(await call('GET', '/v1/auth/me')).id}/quotas`
  await call('PUT', quotas, { connections: 2 })
  const http2 = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca() })
  const follow = () =>
    http2
      .request({ ':path': `/v1/sessions/${id}/events`, accept: 'text/event-stream', ...headers })
      .on('error', () => {})
  const streams = [follow(), follow(), follow()]
  const statuses = await Promise.all(
    streams.map(async (stream) => ((await once(stream, 'response')) as [Record<string, number>])[0][':status']),
  )
  expect(statuses.toSorted()).toEqual([200, 200, 429])

  await call('PUT', quotas, { connections: null })
  for (let left = 100; left > 0; left--) {
    const stream = follow()
    await new Promise((resolve) => setImmediate(resolve))
    stream.close(constants.NGHTTP2_CANCEL)
  }
  await until('the two are left', async () => {
    const { connections } = await call('GET', '/v1/quotas')
    return isDeepStrictEqual(connections, { limit: null, used: 2 })
  })
  http2.destroy()
  await until('none is left', async () =>
    isDeepStrictEqual((await call('GET', '/v1/quotas')).connections, { limit: null, used: 0 }),
  )
})

test('a body over HTTP/2 that does not come is refused in time', async () => {
  const token = await logIn()
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca() })
  const stream = session.request({
    ':path': '/v1/sessions',
    ':method': 'POST',
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
  })
  stream.write('{')
  const [answer] = (await once(stream, 'response')) as [Record<string, number>]
  expect(answer[':status']).toBe(408)
  expect(await text(stream)).toContain('request_timeout')
  session.destroy()
})

test('WebSockets work on the same port', async () => {
  const headers = { authorization: `Bearer ${await logIn()}` }
  const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/ws`, { ca: ca(), headers })
  const [first] = (await once(socket, 'message')) as [Buffer]
  expect(JSON.parse(first.toString())).toMatchObject({ type: 'hello' })
  socket.terminate()
})

test('the command line comes by TLS with the authority that it is told of, and says what to do without', async () => {
  const env = { AICM_SERVER: `https://127.0.0.1:${port}` }
  const login = ['login', '--password-stdin']
  const untrusted = await startAicm(server, dir, login, { env, input: server.password }).ended
  expect(untrusted).toMatchObject({ code: 3, stderr: expect.stringContaining('--ca') })
  const trusted = await startAicm(server, dir, ['--ca', files.cert, ...login], { env, input: server.password }).ended
  expect(trusted).toMatchObject({ code: 0, stderr: '' })
  const ran = await startAicm(server, dir, ['--ca', files.cert, 'run', '@text(by TLS)'], { env }).ended
  expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('by TLS') })
  const byEnvironment = { ...env, NODE_EXTRA_CA_CERTS: files.cert }
  expect((await startAicm(server, dir, ['sessions'], { env: byEnvironment }).ended).code).toBe(0)
})

test('a new certificate is used as soon as it is there, connections stay, and a broken one changes nothing', async () => {
  const served = async (): Promise<string> => {
    const socket = await handshake({ rejectUnauthorized: false })
    const { CN } = socket.getPeerCertificate().subject
    socket.destroy()
    return String(CN)
  }
  const kept = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca() })
  await once(kept, 'connect')
  expect(await served()).toBe('first')

  const log = (): string => readFileSync(join(server.dataDir, 'server.log'), 'utf8')
  writeFileSync(files.cert, 'no certificate at all')
  await until('the broken one was looked at', () => log().includes('the old one stays'))
  expect(await served()).toBe('first')

  const next = makeCertificate(dir, 'second')
  replaceFile(files.key, next.key)
  replaceFile(files.cert, next.cert)
  await until('the new one is served', async () => (await served()) === 'second')

  const authorization = `Bearer ${await logIn()}`
  const audited = await ask('/v1/audit?action=server.certificate', { headers: { authorization } })
  // Of a certificate and a key that are replaced one after the other the new ones may be seen in between.
  const { entries } = JSON.parse(audited.body) as { entries: AuditEntry[] }
  expect(entries[0]).toMatchObject({ result: 'failed', detail: { reason: expect.stringContaining('no certificate') } })
  const { fingerprint256: fingerprint, validTo } = new X509Certificate(ca())
  expect(entries.at(-1)).toMatchObject({ userId: null, result: 'ok', detail: { fingerprint, validTo } })
  expect(entries.filter(({ result }) => result === 'ok')).toHaveLength(1)

  const [answer] = (await once(kept.request({ ':path': '/healthz' }), 'response')) as [Record<string, number>]
  expect(answer[':status']).toBe(200)
  kept.destroy()
})

test('it stops at once although connections of both kinds are open', async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca() })
  session.on('error', () => undefined)
  await once(session, 'connect')
  const idle = await handshake({ ALPNProtocols: ['http/1.1'] })
  idle.on('error', () => undefined)
  idle.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(idle, 'data')
  // Else it would be forced to stop, with another code.
  expect(await server.terminate()).toBe(0)
})
