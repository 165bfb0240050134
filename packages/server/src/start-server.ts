import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { mintSessionToken, tokenKey } from '@aicm/broker'
import { pino } from 'pino'
import { createAccounts } from './auth/accounts.ts'
import { createTickets } from './auth/tickets.ts'
import { createAccessTokens } from './auth/tokens.ts'
import { createBrokerProcess } from './broker/broker-process.ts'
import { askVersion, findClaude, type ClaudeProgram } from './claude/find.ts'
import type { Config } from './config/config.ts'
import { createHealth } from './health/health.ts'
import { createHttpServer } from './gateway/http/server.ts'
import { originRules } from './gateway/origin.ts'
import type { Services } from './gateway/services.ts'
import { createWebSocketServer } from './gateway/ws/server.ts'
import { probeIsolation, type Isolation } from './isolation/level.ts'
import { AppError } from './lib/app-error.ts'
import { assets } from './lib/assets.ts'
import { systemClock } from './lib/clock.ts'
import { openLogFile } from './lib/log-file.ts'
import { once } from './lib/once.ts'
import { secretFile } from './lib/secret-file.ts'
import { openStorage, type Recovery } from './open-storage.ts'
import { defaultLimits } from './process/limits.ts'
import { createProcesses } from './session/processes.ts'
import { defaultRetryPolicy } from './session/recovery.ts'
import { createRegistry } from './session/registry.ts'
import { lockFolder } from './storage/drivers/sqlite/folder-lock.ts'
import { createWorkspaces } from './workspaces/workspaces.ts'

export type RunningServer = {
  url: string
  /** Set on the very first start, when no password was given. */
  firstAdminPassword: string | undefined
  /** Set when the database was damaged, and was rebuilt at this start. */
  recovery: Recovery | undefined
  /** What was found out after the start. */
  claude: Promise<ClaudeProgram>
  isolation: Promise<Isolation>
  /** Stops serving and lets go of all sessions' processes, which go on. */
  close(): Promise<void>
}

/** claude takes half a second; a hundred of them at once on a small machine take a minute. */
const startTimeoutMs = 3 * 60_000

/** Wires the server together, in order: the only place that knows which drivers and parts there are. */
export const startServer = async (config: Config): Promise<RunningServer> => {
  const clock = systemClock
  const stopping = new AbortController()
  await using opened = new AsyncDisposableStack()
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const lock = lockFolder(config.dataDir)
  opened.defer(() => lock.release())
  const logFile = openLogFile(join(config.dataDir, 'server.log'))
  opened.defer(() => logFile.close())
  const log = pino({ level: config.logLevel, base: { node: process.pid } }, logFile)

  const storage = opened.use(await openStorage(config, { clock, log }))
  const { database, kv, recovery } = storage

  const brokerDir = join(config.dataDir, 'broker')
  const broker = createBrokerProcess({
    dir: brokerDir,
    main: assets.brokerMain,
    config: config.modelApi,
    extraCaCerts: config.extraCaCerts,
    log,
  })
  const brokerKey = await tokenKey(brokerDir)

  const found = findClaude({ setting: config.claude, path: config.path })
  const program = (): string => {
    const now = 'path' in found ? found : findClaude({ setting: config.claude, path: config.path })
    if ('error' in now) throw new AppError('claude_unavailable', now.error)
    return now.path
  }
  // Both start programs, which would slow the start down: they are asked for when the server listens, or when needed.
  const claude = once((): Promise<ClaudeProgram> =>
    'path' in found ? askVersion(found.path) : Promise.resolve({ path: null, version: null, error: found.error }),
  )
  const isolation = once(() => probeIsolation(join(config.dataDir, 'probe')))

  const processes = createProcesses(kv, database.workspaces, {
    dataDir: config.dataDir,
    limits: defaultLimits,
    brokerDir: broker.apiDir,
    program,
    isolation: async () => (await isolation()).level,
    brokerUp: broker.up,
    token: (session) => mintSessionToken(brokerKey, session),
  })
  const registry = createRegistry(database, {
    processes,
    policy: defaultRetryPolicy,
    billed: config.modelApi.mode === 'live',
    startTimeoutMs,
    clock,
    log,
  })
  const workspaces = createWorkspaces(database, { dataDir: config.dataDir, roots: config.workspaceRoots, clock, log })

  const accessTokens = createAccessTokens(await secretFile(join(config.dataDir, 'jwt.key')), clock)
  const accounts = createAccounts(database.users, accessTokens, clock)
  const firstAdmin = await accounts.createFirstAdmin(config.adminPassword, recovery?.refilled.lostUsers[0])

  const services: Services = {
    database,
    registry,
    workspaces,
    accounts,
    accessTokens,
    tickets: createTickets(clock),
    health: createHealth({
      config,
      version: assets.version,
      startedAt: clock.now(),
      database,
      keyValueKind: 'lmdb',
      broker,
      processes,
      claude,
      isolation,
    }),
    assertCanStart: () => void program(),
    clock,
    log,
    version: assets.version,
  }

  const restored = await registry.restore()
  const rules = originRules(config)
  const http = await createHttpServer(services, { log, rules, webRoot: assets.webRoot })
  const webSockets = createWebSocketServer(http.server, services, rules)
  const url = await http.listen({ host: config.host, port: config.port })
  // Not before the server listens: a start that fails leaves nothing running.
  broker.up().catch((error: unknown) => log.error({ err: error }, 'the broker could not be started'))
  broker.watch(stopping.signal)
  workspaces.restore().catch((error: unknown) => log.error({ err: error }, 'interrupted clones could not be marked'))
  log.info({ url, ...restored, modelApi: config.modelApi.mode }, 'listening')

  const resources = opened.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    stopping.abort()
    webSockets.close()
    await http.close()
    await registry.release()
    log.info({}, 'stopped')
    await resources.disposeAsync()
  }
  return {
    url,
    firstAdminPassword: firstAdmin?.password,
    recovery,
    claude: claude(),
    isolation: isolation(),
    close: () => (closed ??= close()),
  }
}
