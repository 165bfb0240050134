import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { firstMatch, startChild } from '../../bench/lib/child.ts'
import { temporaryFolder } from '../../bench/lib/folder.ts'
import { realClaude } from '../../bench/lib/programs.ts'
import { endLeftovers, serverCommand } from '../../bench/lib/server.ts'
import { until } from '@aicm/testing/until'
import { makeCertificate, replaceFile } from '../../e2e/lib/certificates.ts'
import { wait } from '../../chaos/lib/wait.ts'
import { codeOf, parsed, seenOfBytes, sendBytes, stillOpen } from '../lib/http.ts'
import type { Attack, Row, Try } from '../lib/row.ts'

/** The built server with these flags, and what came of its start: where it listens, or that it does not. */
const start = async (attack: Attack, flags: readonly string[]) => {
  await using started = new AsyncDisposableStack()
  const folder = started.use(await temporaryFolder(attack.scope))
  started.use(attack.scope.own(() => endLeftovers(folder.path)))
  const { argv, env } = serverCommand(attack, { dataDir: folder.path, claude: realClaude(), flags })
  const child = started.use(await startChild(attack.scope, { argv, env }))
  const url = await firstMatch(child, /listens on (\S+)/).catch(() => undefined)
  const resources = started.move()
  return { url, dataDir: folder.path, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

const wordsOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

/** The version that both speak, or how it was refused. */
const handshake = async (target: ConnectionOptions, options: ConnectionOptions = {}): Promise<TLSSocket | string> => {
  const socket = connect({ ...target, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.on('error', () => undefined)
  } catch (error) {
    return wordsOf(error)
  }
}

const spoken = async (target: ConnectionOptions, options?: ConnectionOptions): Promise<string> => {
  const socket = await handshake(target, options)
  if (typeof socket === 'string') return socket
  const version = socket.getProtocol() ?? 'nothing'
  socket.destroy()
  return version
}

/** Who the certificate of a new connection is for. */
const servedName = async (target: ConnectionOptions): Promise<string> => {
  const socket = await handshake(target, { rejectUnauthorized: false })
  if (typeof socket === 'string') return socket
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}

const openHttp2 = (url: string, ca: Buffer): ClientHttp2Session =>
  connectHttp2(url, { ca }).on('error', () => undefined)

/** Status and code, or how it was cut off. */
const get = (session: ClientHttp2Session, headers: Record<string, string>): Promise<string> =>
  new Promise((resolve) => {
    const stream = session.request(headers)
    let [status, body] = ['closed', '']
    stream.on('response', (answer) => (status = String(answer[':status'])))
    stream.on('data', (part: Buffer) => (body += part.toString('utf8')))
    stream.on('error', (error) => resolve(wordsOf(error)))
    stream.on('close', () => resolve([status, codeOf(parsed(body))].filter(Boolean).join(' ')))
  })

const versions = async (target: ConnectionOptions, attempt: Try): Promise<void> => {
  const old = { ciphers: 'DEFAULT:@SECLEVEL=0', minVersion: 'TLSv1' } as const
  // An alert is the server's word: this side would have gone on.
  for (const version of ['TLSv1', 'TLSv1.1'] as const)
    attempt(version, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', await spoken(target, { ...old, maxVersion: version }))
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    attempt(version, version, await spoken(target, { minVersion: version, maxVersion: version }))
  for (const ciphers of ['aNULL', 'eNULL'])
    attempt(
      `TLS 1.2 with ${ciphers}`,
      'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE or ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
      await spoken(target, { ciphers: `${ciphers}:@SECLEVEL=0`, maxVersion: 'TLSv1.2' }),
    )
}

const bytes = async (url: string, attempt: Try): Promise<void> => {
  const kinds = [
    ['plain HTTP', 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    [
      'a plain WebSocket',
      'GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    ],
    ['plain HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['noise', Buffer.alloc(10_000, 7)],
    ['a handshake that is cut off', Buffer.from([22, 3, 1, 2, 0, 1])],
    ['a record of its largest length', Buffer.from([22, 3, 1, 255, 255, ...Array<number>(1000).fill(0)])],
    ['nothing', ''],
  ] as const
  await Promise.all(
    kinds.map(async ([name, sent]) =>
      attempt(`${name} on the port of TLS`, 'closed', seenOfBytes(await sendBytes(url, sent))),
    ),
  )
}

/** What comes of a connection that is encrypted, and then says nothing. */
const silence = async (target: ConnectionOptions, attempt: Try): Promise<void> => {
  const socket = await handshake(target, { ALPNProtocols: ['http/1.1'] })
  if (typeof socket === 'string') return attempt('a handshake for HTTP/1.1', 'done', socket)
  socket.setTimeout(patienceMs, () => socket.destroy(new Error(stillOpen)))
  const seen = seenOfBytes(await text(socket).catch(String))
  attempt('nothing after the handshake', 'closed or 408', seen)
}

const resets = 5000
const patienceMs = 30_000

const http2 = async (url: string, ca: Buffer, attempt: Try): Promise<void> => {
  const session = openHttp2(url, ca)
  attempt('HTTP/2', '200', await get(session, { ':path': '/healthz' }))
  attempt('HTTP/2 without a token', '401', await get(session, { ':path': '/v1/sessions' }))
  attempt(
    'HTTP/2 for another host',
    '421',
    await get(session, { ':path': '/v1/sessions', ':authority': 'evil.example' }),
  )
  attempt(
    'HTTP/2 from another page',
    '403',
    await get(session, { ':path': '/healthz', origin: 'https://evil.example' }),
  )
  for (let left = resets; left > 0 && !session.destroyed; left--) {
    session
      .request({ ':path': '/healthz' })
      .on('error', () => undefined)
      .close(constants.NGHTTP2_CANCEL)
    if (left % 100 === 0) await wait(0)
  }
  session.destroy()
  const other = openHttp2(url, ca)
  attempt(`others after ${resets} streams that were reset at once`, '200', await get(other, { ':path': '/healthz' }))
  other.destroy()
}

type Secure = { url: string; dataDir: string; target: ConnectionOptions; files: { cert: string; key: string } }

const reload = async ({ url, dataDir, target, files }: Secure, attempt: Try): Promise<void> => {
  const kept = openHttp2(url, readFileSync(files.cert))
  attempt('the name in the certificate', 'first', await servedName(target))
  writeFileSync(files.cert, 'no certificate at all')
  await until('it was looked at', () => readFileSync(join(dataDir, 'server.log'), 'utf8').includes('the old one stays'))
  attempt('the name while the file holds no certificate', 'first', await servedName(target))
  const next = makeCertificate(dirname(files.cert), 'second')
  replaceFile(files.key, next.key)
  replaceFile(files.cert, next.cert)
  const seen = await until(
    'another is served',
    async () => (await servedName(target)) !== 'first' && servedName(target),
  )
  attempt('the name when both files were replaced', 'second', seen)
  attempt('a connection from before', '200', await get(kept, { ':path': '/healthz' }))
  kept.destroy()
}

export const tls: Row = {
  name: 'tls',
  title:
    'TLS before 1.2, without encryption or a certificate; what is no TLS; HTTP/2; certificates that change; addresses that others reach',
  expected: 'refused or closed, others served; new connections have the new certificate; no start without TLS',
  run: async (attack, attempt) => {
    await using folder = await temporaryFolder(attack.scope)
    const files = makeCertificate(folder.path, 'first')
    const secure = ['--tls-cert', files.cert, '--tls-key', files.key]
    await using server = await start(attack, [...secure, '--request-timeout', '6s'])
    attempt(
      'a start with a certificate',
      'listens',
      server.url?.startsWith('https://') === true ? 'listens' : 'does not',
    )
    if (server.url === undefined) return
    const { hostname, port } = new URL(server.url)
    const ca = readFileSync(files.cert)
    const target = { host: hostname, port: Number(port), ca }
    await versions(target, attempt)
    await Promise.all([bytes(server.url, attempt), silence(target, attempt)])
    await http2(server.url, ca, attempt)
    await reload({ url: server.url, dataDir: server.dataDir, target, files }, attempt)
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      await using open = await start(attack, ['--host', host])
      attempt(`a start at ${host} without TLS`, 'refused', open.url === undefined ? 'refused' : 'listens')
    }
    await using open = await start(attack, ['--host', '0.0.0.0', ...secure])
    attempt('a start at 0.0.0.0 with TLS', 'listens', open.url === undefined ? 'refused' : 'listens')
  },
}
