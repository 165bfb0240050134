import { isDeepStrictEqual } from 'node:util'
import { chmodSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { apiHandler } from './api.ts'
import type { Backend } from './backend.ts'
import { brokerControl } from './client.ts'
import type { BrokerConfig, Credential, Secret } from './config.ts'
import { controlHandler } from './control.ts'
import { createBreakerChanges } from './credentials/breaker-changes.ts'
import { createLane, type Lane } from './credentials/lane.ts'
import { createSource, type Renewed } from './credentials/source.ts'
import { demoBackend } from './demo/demo-backend.ts'
import { liveBackend } from './live.ts'
import { openLog } from './log.ts'
import { lockFolder } from './only-one.ts'
import { prepareFolders } from './paths.ts'
import { openRenewed, type RenewedKey, type RenewedTokens } from './renewed.ts'
import { sessionTokens } from './session-tokens.ts'
import type { BrokerStatus } from './status.ts'
import { tokenKey } from './token.ts'
import { createUpstreamCheck } from './upstream-check.ts'
import { createAccount } from './usage/account.ts'
import type { Reserved } from './usage/budgets.ts'
import { openLedger } from './usage/ledger.ts'
import { createPricing } from './usage/prices.ts'
import { brokerVersion } from './version.ts'

export type BrokerOptions = {
  dir: string
  /** How long answers that are being streamed may go on after `stop`. */
  drainMs?: number
  /** How often it looks whether its sockets are still its own. */
  watchMs?: number
}

export type Broker = AsyncDisposable & {
  /** Stops accepting at once, lets answers finish, and then resolves. */
  stop: () => Promise<void>
  /** Resolves when the broker has stopped, for whatever reason. */
  stopped: Promise<void>
}

/** Opens the broker of this folder, unconfigured; null when one is there already. */
export const openBroker = async ({ dir, drainMs = 10_000, watchMs = 2_000 }: BrokerOptions): Promise<Broker | null> => {
  if (await isLive(dir)) return null
  const paths = prepareFolders(dir)
  const key = tokenKey(resolve(dir))
  const tokens = sessionTokens(resolve(dir))
  const lock = lockFolder(resolve(dir))
  if (lock === null) return null

  const log = openLog(join(resolve(dir), 'broker.log'))
  const startedAt = new Date().toISOString()
  const stopped = Promise.withResolvers<void>()
  let backend: Backend | null = null
  let config: BrokerConfig | null = null
  let renewed: RenewedTokens | undefined
  const ledger = openLedger(join(resolve(dir), 'ledger'), {
    keeps: (sessionId) => config?.budgets?.sessions?.[sessionId] !== undefined,
  })
  const reserved: Reserved = new Map()
  const breakers = createBreakerChanges(({ credentialId, state }) => log.write('breaker', { credentialId, state }))
  const demo = demoBackend()
  let active = 0
  const answering = new Map<ServerResponse, { sessionId: string; sentBefore: number }>()
  let stopping = false

  const status = (): BrokerStatus => ({
    pid: process.pid,
    startedAt,
    version: brokerVersion,
    mode: config?.mode ?? null,
    credentials: backend?.credentials() ?? [],
    breakerChanges: breakers.newest(),
    activeRequests: active,
    answering: [...answering].map(([{ socket }, { sessionId, sentBefore }]) => ({
      sessionId,
      sentBytes: (socket?.bytesWritten ?? sentBefore) - sentBefore,
    })),
    ledger: { id: ledger.id, lastSeq: ledger.lastSeq(), error: ledger.error() },
    renewed: renewed?.keys().map(({ id }) => id) ?? [],
  })

  const configure = (next: BrokerConfig) => {
    const { credentials = [], budgets = {}, prices, sealKey } = next
    const guests = new Set(next.guests)
    renewed = sealKey === undefined ? undefined : openRenewed(resolve(dir), Buffer.from(sealKey, 'base64'))
    const before = lanes
    lanes = credentials.map((given) => {
      // What is known of a credential, its calls and its newest tokens, outlives a new configuration that leaves it as it is.
      const same = before.find(({ credential }) => isDeepStrictEqual(settingsOf(credential), settingsOf(given)))
      if (same !== undefined) return same
      if (given.kind !== 'oauth') return createLane(given, createSource(given, { onRenewed: () => {} }))
      const credential = { ...given, ...renewed?.read(given) }
      // A renewal may be under way, and makes the tokens void that are known here.
      const source = before.find((lane) => isDeepStrictEqual(tokensOf(lane.credential), tokensOf(given)))?.source
      return createLane(
        credential,
        source ?? createSource(credential, { onRenewed: (tokens) => keepRenewed(credential, tokens) }),
      )
    })
    for (const lane of lanes) if (!before.includes(lane)) breakers.watch(lane)
    backend = liveBackend({
      lanes,
      account: createAccount({ budgets, pricing: createPricing(prices), ledger, reserved }),
      isGuest: (sessionId) => guests.has(sessionId),
      ...(next.mode === 'demo' ? { otherwise: demo } : {}),
      onError: (error) => log.write('failed', { error: error instanceof Error ? (error.stack ?? '') : String(error) }),
    })
    config = next
    log.write('configured', { mode: next.mode, credentials: credentials.length })
  }
  let lanes: Lane[] = []
  const keepRenewed = (key: RenewedKey, tokens: Renewed): void => {
    log.write('renewed', { credentialId: key.id })
    renewed?.keep(key, tokens)
  }

  const onAnswer = (sessionId: string, response: ServerResponse): void => {
    answering.set(response, { sessionId, sentBefore: response.socket?.bytesWritten ?? 0 })
  }
  const check = createUpstreamCheck()
  const checkUpstream = async () => {
    const upstream = config?.credentials?.[0]?.upstream
    return upstream === undefined ? null : check(upstream)
  }

  // `claude` thinks between requests: a connection kept for a minute is one it need not make again.
  const api = createServer(
    { keepAliveTimeout: 60_000 },
    apiHandler({ key, isGood: tokens.isGood, backend: () => backend, stopping: () => stopping, onAnswer, log }),
  )
  // Destroyed, not only ended: a child that keeps its half open would keep the broker from stopping.
  api.on('connect', (_request, socket) => {
    socket.end('HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', () =>
      socket.destroy(),
    )
  })
  api.on('request', (_request, response) => {
    active += 1
    response.once('close', () => {
      active -= 1
      answering.delete(response)
    })
  })
  const control = createServer(
    controlHandler({
      status,
      configure,
      checkUpstream,
      ledger: (after, limit) => ({ id: ledger.id, entries: ledger.read(after, limit) }),
      forget: ledger.forget,
      sums: (keys) =>
        Object.fromEntries(
          keys.map((key) => {
            const { usd = 0, tokens = 0 } = ledger.sums.get(key) ?? {}
            return [key, { usd, tokens }]
          }),
        ),
      stop: () => void stop(),
    }),
  )

  const stop = (): Promise<void> => {
    if (!stopping) {
      stopping = true
      void drain()
    }
    return stopped.promise
  }
  const drain = async () => {
    clearInterval(watch)
    log.write('stopping', { activeRequests: active })
    const closed = Promise.all([closeServer(api), closeServer(control)])
    // The sockets are gone: the next broker may start while this one finishes what it streams.
    lock.release()
    const servers = [api, control]
    const idle = setInterval(() => servers.forEach((server) => server.closeIdleConnections()), 50)
    const deadline = setTimeout(() => servers.forEach((server) => server.closeAllConnections()), drainMs)
    await closed
    clearInterval(idle)
    clearTimeout(deadline)
    ledger.close()
    log.write('stopped')
    log.close()
    stopped.resolve()
  }

  await listen(api, paths.api, 0o666)
  await listen(control, paths.control, 0o600)
  const ours = [paths.api, paths.control].map((path) => ({ path, inode: inodeOf(path) }))
  // Sockets that somebody removed cannot be reached by anybody, and the lock would keep a successor away.
  const watch = setInterval(() => {
    const lost = ours.find(({ path, inode }) => inodeOf(path) !== inode)
    if (lost === undefined) return
    log.write('socket lost', { path: lost.path })
    void stop()
  }, watchMs)
  log.write('started', { pid: process.pid, version: brokerVersion })
  return { stop, stopped: stopped.promise, [Symbol.asyncDispose]: stop }
}

/** A credential as it was set up: what is renewed of it, which nobody but this broker does, is left out. */
const settingsOf = (credential: Credential) =>
  credential.kind === 'oauth' ? { ...credential, accessToken: '', refreshToken: '', expiresAt: 0 } : credential

const tokensOf = (credential: { id: string } & Secret) =>
  credential.kind === 'oauth'
    ? [credential.id, credential.lineage, credential.tokenUrl, credential.clientId]
    : credential.kind

const isLive = (dir: string): Promise<boolean> =>
  brokerControl(dir)
    .status({ signal: AbortSignal.timeout(2_000) })
    .then(
      () => true,
      () => false,
    )

/** Only the holder of the lock comes here, so a file at this path is a dead broker's. */
const listen = async (server: Server, path: string, mode: number): Promise<void> => {
  rmSync(path, { force: true })
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, mode)
}

const inodeOf = (path: string): number | null => statSync(path, { throwIfNoEntry: false })?.ino ?? null

const closeServer = (server: Server): Promise<void> => new Promise((done) => server.close(() => done()))
