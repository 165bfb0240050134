import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { requires } from '@aicm/testing/requires'
import { freePort, runServer } from '@aicm/testing/run-server'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { send } from './lib/http.ts'

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
    main: fileURLToPath(new URL('../packages/server/src/main.ts', import.meta.url)),
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
