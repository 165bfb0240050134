import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { sessionTokens } from '@aicm/broker'
import type { Isolation } from '@aicm/protocol'
import { pino } from 'pino'
import { openAudit } from './audit/audit.ts'
import { recordOwnAct } from './audit/own-act.ts'
import { createAccessChanges } from './auth/access-changes.ts'
import { createAccounts } from './auth/accounts.ts'
import { createApiKeys } from './auth/api-keys.ts'
import { createLogins } from './auth/logins.ts'
import { createOidc } from './auth/oidc.ts'
import { createShares } from './auth/shares.ts'
import { openSigningKeys } from './auth/signing-keys.ts'
import { createTickets } from './auth/tickets.ts'
import { accessLifeSeconds, createAccessTokens } from './auth/tokens.ts'
import { readSecretKey } from './broker/secret-key.ts'
import { createSpending } from './broker/spending.ts'
import { createClaudeProgram, findClaude, type ClaudeProgram } from './claude/find.ts'
import type { Config } from './config/config.ts'
import { createEgress } from './egress/egress.ts'
import { createFiles } from './files/files.ts'
import { createHealthChecker } from './health/checker.ts'
import { createHealth } from './health/health.ts'
import { createStorageCheck, untilDiskWorks } from './health/storage-check.ts'
import { findShortage } from './health/shortage.ts'
import { readMemory } from './health/system.ts'
import { createOrigins } from './gateway/client-address.ts'
import { readCertificate, watchCertificate } from './gateway/http/certificate.ts'
import { connectionsOfMachine, limitConnections } from './gateway/http/connection-limits.ts'
import { createListener } from './gateway/http/listener.ts'
import { createHttpServer } from './gateway/http/server.ts'
import { endVanishedPeers } from './gateway/http/vanished-peers.ts'
import { originRules } from './gateway/origin.ts'
import { createRequestLimits } from './gateway/request-limits.ts'
import type { Services } from './gateway/services.ts'
import { createWebSocketServer } from './gateway/ws/server.ts'
import { assertRequired, createSessionWalls } from './isolation/isolation.ts'
import { assertMountable } from './isolation/read-only-mounts.ts'
import { AppError, toAppError } from './lib/app-error.ts'
import { assets } from './lib/assets.ts'
import { createBreaker, type BreakerState } from './lib/breaker.ts'
import { systemClock } from './lib/clock.ts'
import { openLogFile } from './lib/log-file.ts'
import { createMetrics, type FailureDomain } from './observability/metrics.ts'
import { openStorage, type Recovery } from './open-storage.ts'
import { removeTree } from './process/remove-tree.ts'
import { sizeOfFolders } from './process/size-of-folders.ts'
import { defaultResourceLimits } from './config/resource-limits.ts'
import { createUserLimits } from './quotas/limits.ts'
import { createUserQuotas } from './quotas/quotas.ts'
import { createStoredBytes } from './quotas/stored-bytes.ts'
import { watchBytes } from './quotas/watch-bytes.ts'
import { createGuard } from './rate-limit/guard.ts'
import { createMemoryLimiter } from './rate-limit/limiter.ts'
import { createLoginLimiter } from './rate-limit/login-limiter.ts'
import { isStartFailure } from './session/process-link.ts'
import { createProcesses } from './session/processes.ts'
import { createRegistry, type Registry } from './session/registry.ts'
import { lockFolder } from './storage/drivers/sqlite/folder-lock.ts'
import { createClones } from './workspaces/clones.ts'
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
  /** Why nobody can log in by the OpenID provider, as far as it was asked. */
  oidcProblem: Promise<string | undefined>
  /** Resolves when the disk had failed and takes data again: a server that is started anew, in this process too, is sound. */
  worn: Promise<void>
  /** Stops serving and lets go of all sessions' processes, which go on unless the settings want them to end. */
  close(options?: { keepSessions: boolean }): Promise<void>
}

/** Of claude when it is idle, with room for what its tools need now and then. */
const memoryOfProcess = 256 * 2 ** 20
/** One helper for files is allowed for so much: it takes a third of that. */
const memoryOfHelpers = 128 * 2 ** 20
/** A process whose journal has become so long is replaced when it rests: files have a limit, and so have disks. */
const longJournal = 512 * 2 ** 20
/** Failed starts in a row, of whatever sessions, and how long claude is then left alone. */
const startBreaker = { failures: 8, probeAfterMs: 10_000 }
/** How long a session that sleeps is kept in memory. */
const unloadMs = 10_000
/** A spare process is started so long after the newest session, whose first turn shall have the machine to itself. */
const spareDelayMs = 3000
/** And ended when nobody has created a session like that for so long. */
const spareRestMs = 15 * 60_000
/** How often resting sessions are looked for. */
const tidyEveryMs = 5000
const tidyLoginsEveryMs = 3600_000

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

  const worn = Promise.withResolvers<void>()
  const onSyncFailed = (): void => {
    log.error({}, 'the disk did not take what was written: nothing is accepted until it does')
    void untilDiskWorks(config.dataDir, stopping.signal).then(worn.resolve)
  }
  const storage = opened.use(await openStorage(config, { clock, log, onSyncFailed }))
  const { database, kv, recovery } = storage
  const audit = opened.use(await openAudit({ store: database.audit, kv, clock, log }))
  const acts = { audit, users: database.users }
  void audit.record({ action: 'server.start', detail: { version: assets.version, settings: config.given } })
  if (recovery !== undefined) {
    const { reason, refilled } = recovery
    await audit.record({ action: 'server.rebuild', result: 'failed', detail: { reason, ...refilled } })
  }

  const brokerDir = join(config.dataDir, 'broker')
  const spending = createSpending({
    ...{ config, database, brokerDir, clock, log },
    secretKey: await readSecretKey(config),
    brokerMain: assets.brokerMain,
    peek: (id) => registry.peek(id),
    onCompared: (agrees) => metrics.costCompared(agrees),
    onRenewed: ({ id, userId, kind }) =>
      recordOwnAct(acts, { action: 'credentials.renewed', userId, target: id, detail: { kind } }),
    onBreakerChange: ({ credentialId, state }) => {
      log.warn({ credential: credentialId, state }, 'the circuit breaker for the model API')
      breakerChanged('modelApi', state)
    },
  })
  const { broker } = spending
  const tokens = sessionTokens(brokerDir)

  const find = () => findClaude({ setting: config.claude, path: config.path })
  let told: ClaudeProgram | undefined
  const program = (): string => {
    const found = find()
    if ('error' in found) throw new AppError('claude_unavailable', found.error)
    // Too old, as far as it was asked: whoever looks at health asks again.
    if (told?.path === found.path && told.version !== null && told.error !== null)
      throw new AppError('claude_unavailable', told.error)
    return found.path
  }
  // Both start programs, which would slow the start down: they are asked for when the server listens, or when needed.
  const askClaude = createClaudeProgram(find)
  const claude = async (): Promise<ClaudeProgram> => (told = await askClaude())
  const userLimits = createUserLimits(database.confinement, {
    memory: Math.floor(readMemory().totalBytes / 2),
    ...defaultResourceLimits,
    ...config.isolation.limits,
  })
  const walls = createSessionWalls({
    dataDir: config.dataDir,
    settings: config.isolation,
    limitsOf: userLimits.of,
    store: database.confinement,
    countUsers: database.users.count,
    program: () => {
      const found = find()
      // Whoever installs one puts it where it can be reached, or is told by the session that cannot.
      return 'path' in found ? found.path : '/bin/sh'
    },
  })

  opened.defer(walls.close)

  const settings = config.sessions
  const shortage = () => findShortage({ dataDir: config.dataDir, memoryReserve: settings.memoryReserve })
  const starts = createBreaker({
    ...startBreaker,
    isFailure: isStartFailure,
  })
  starts.onChange((state) => log.warn({ state, reason: starts.reason() }, 'the circuit breaker for starting claude'))

  if (config.isolation.required !== undefined) assertRequired(await walls.state(), config.isolation.required)

  const processes = createProcesses(kv, database.workspaces, {
    dataDir: config.dataDir,
    walls,
    brokerDir: broker.apiDir,
    program,
    brokerUp: broker.up,
    confinementOf: async (workspaceId) => {
      const confinement = await database.confinement.getWorkspace(workspaceId)
      for (const path of confinement?.readOnlyMounts ?? []) await assertMountable(path, config.dataDir)
      return confinement
    },
    tokens,
  })
  const clones = createClones({
    dataDir: config.dataDir,
    walls,
    egress: createEgress({ allowed: config.cloneFrom }),
    bytesLeft: (userId) => quotas.bytesLeft(userId),
  })
  const workspaces = createWorkspaces(database, {
    ...{ dataDir: config.dataDir, roots: config.workspaceRoots, clones, clock, log },
  })
  opened.defer(clones.endAll)
  const registry: Registry = createRegistry(database, {
    processes,
    policy: { ...settings.retry, continue: settings.continue },
    billed: spending.isBilled,
    servesGuests: spending.servesGuests,
    onGuest: spending.onGuest,
    limits: settings.watch,
    starts,
    sentBytes: broker.sentBytes,
    slotLimits: {
      maxLive: settings.maxProcesses ?? Math.max(4, Math.floor(readMemory().totalBytes / memoryOfProcess)),
      maxStarting: 2 * availableParallelism(),
      maxOf: (userId) => quotas.processes(userId),
    },
    shortage,
    rest: { idleMs: settings.idleMs, closeMs: settings.closeMs, journalBytes: longJournal },
    unloadMs,
    spares: { ...settings.warm, delayMs: spareDelayMs, restMs: spareRestMs },
    workspaceFor: async (userId, id) => {
      if (id === undefined) return workspaces.reserve(userId)
      const workspace = await workspaces.get(userId, id).catch(() => undefined)
      return workspace?.status === 'ready' ? workspace : undefined
    },
    unreserve: workspaces.unreserve,
    onClosed: ({ id: target, userId }, reason) =>
      void recordOwnAct(acts, { action: 'sessions.ended', userId, target, detail: { reason } }),
    clock,
    log,
  })

  const sinceStart = (): number => performance.now()
  const storedBytes = createStoredBytes(database, {
    ...{ dataDir: config.dataDir, sizeOfFolders, now: sinceStart, signal: stopping.signal, log },
  })
  const quotas = await createUserQuotas(database, {
    defaults: config.gateway.quotas,
    usageOf: registry.usageOf,
    storedBytes,
  })

  const files = opened.use(
    createFiles({
      wallsOf: processes.wallsOf,
      give: walls.give,
      accountsDir: walls.accountsDir,
      mostHelpers: Math.max(4, Math.floor(readMemory().totalBytes / memoryOfHelpers)),
      maxFileBytes: config.gateway.maxFileBytes,
      store: quotas.store,
    }),
  )

  const signingKeys = await openSigningKeys(config.dataDir, { clock, lifeMs: accessLifeSeconds * 1000, audit })
  const accessTokens = createAccessTokens(signingKeys, clock)
  const accessChanges = createAccessChanges()
  const logins = await createLogins(database, {
    accessTokens,
    changes: accessChanges,
    clock,
    audit,
    most: config.maxLogins,
  })
  const apiKeys = createApiKeys(database.apiKeys, { changes: accessChanges, clock, log })
  const accounts = createAccounts(database.users, { logins, changes: accessChanges, clock })
  const oidc = config.oidc && createOidc(config.oidc, { accounts, clock })
  const isFirst = (await database.users.count()) === 0
  const firstAdmin = await accounts.createFirstAdmin(config.adminPassword, recovery?.refilled.lostUsers[0])
  if (isFirst) void audit.record({ action: 'server.first_admin', target: 'admin' })

  /** Of all credentials, as of the last look. */
  let modelApiBreaker: BreakerState = 'closed'
  const metrics = createMetrics(registry.counts, () => ({
    ...{ storage: storage.breaker.state(), claude: starts.state(), modelApi: modelApiBreaker },
  }))
  const breakerChanged = (domain: FailureDomain, state: BreakerState): void => {
    metrics.breakerChanged(domain, state)
    healthChecker.lookNow()
  }
  storage.breaker.onChange((state) => breakerChanged('storage', state))
  starts.onChange((state) => breakerChanged('claude', state))
  const health = createHealth({
    config,
    version: assets.version,
    startedAt: clock.now(),
    database,
    keyValueKind: 'lmdb',
    storage: createStorageCheck(config.dataDir, kv),
    broker,
    processes,
    registry,
    breakers: { storage: storage.breaker, claude: starts },
    diverted: storage.diverted,
    claude,
    isolation: walls.state,
  })
  const healthChecker = createHealthChecker({
    health: async () => {
      const found = await health()
      modelApiBreaker = found.breakers.modelApi
      return found
    },
    intervalMs: config.healthIntervalMs,
    log,
  })

  const { gateway } = config
  const limiter = createMemoryLimiter(gateway.rateLimits, sinceStart)
  const guard = createGuard({
    limit: gateway.rateLimits.failure,
    now: sinceStart,
    onBlock: ({ source, ms }) => {
      const seconds = ms / 1000
      log.warn({ source, seconds }, 'a source of failing requests is blocked')
      void audit.record({ action: 'guard.blocked', target: source, detail: { seconds } })
    },
  })

  const services: Services = {
    database,
    registry,
    workspaces,
    files,
    accounts,
    logins,
    apiKeys,
    oidc,
    shares: createShares(database.shares, { changes: accessChanges, clock }),
    accessChanges,
    signingKeys,
    accessTokens,
    tickets: createTickets(clock),
    audit,
    spending,
    health,
    healthChecker,
    metrics,
    assertCanStart: () => void program(),
    limits: createRequestLimits(limiter, guard),
    loginLimiter: createLoginLimiter(limiter, { enabled: gateway.rateLimits.login !== undefined, now: sinceStart }),
    quotas,
    userLimits,
    processes,
    assertMountable: (path) => assertMountable(path, config.dataDir),
    origins: createOrigins(gateway.trustedProxies),
    removeUserFiles: async (userId) => {
      for (const folder of ['users', 'workspaces']) await removeTree(join(config.dataDir, folder, userId))
    },
    clock,
    log,
    version: assets.version,
  }

  // Behind the first account: a subscription in the environment is somebody's.
  await spending.load()
  const restored = await registry.restore()
  const rules = originRules(config)
  const { tls } = gateway
  const listener = createListener({
    requestMs: gateway.requestMs,
    certificate: tls && (await readCertificate(tls)),
    prepare: (server) => {
      endVanishedPeers(server)
      limitConnections(server, {
        most: gateway.maxConnections ?? connectionsOfMachine(),
        mostOfAddress: gateway.maxConnectionsOfAddress,
        isProxy: services.origins.isProxy,
        log,
      })
    },
  })
  if (tls !== undefined) watchCertificate({ files: tls, use: listener.use, audit, log, signal: stopping.signal })
  const http = await createHttpServer(services, {
    rules,
    webRoot: assets.webRoot,
    logRequests: config.logLevel === 'debug',
    settings: gateway,
    listener,
  })
  const webSockets = createWebSocketServer(http.server, services, rules)
  const address = await http.listen({ host: config.host, port: config.port })
  const url = tls === undefined ? address : address.replace('http:', 'https:')
  // Not before the server listens: a start that fails leaves nothing running.
  broker.up().catch((error: unknown) => log.error({ err: error }, 'the broker could not be started'))
  broker.watch(stopping.signal)
  healthChecker.run(stopping.signal)
  const sweeping = registry.sweepStrays(stopping.signal).then(
    (swept) =>
      swept.ended + swept.removed > 0 && log.warn(swept, 'what a server that died had left behind was removed'),
    (error: unknown) =>
      stopping.signal.aborted || log.error({ err: error }, 'what the last server left behind could not be looked for'),
  )
  workspaces.restore().catch((error: unknown) => log.error({ err: error }, 'interrupted clones could not be marked'))
  const oidcProblem = oidc?.check().then(
    () => undefined,
    (error: unknown) => {
      const { message, cause } = toAppError(error)
      log.warn({ err: cause }, message)
      return message
    },
  )
  log.info({ url, ...restored, modelApi: config.modelApi.mode }, 'listening')

  void watchBytes({ quotas, storedBytes, registry, signal: stopping.signal, log })
  const tidying = setInterval(() => {
    registry.tidy().catch((error: unknown) => log.error({ err: error }, 'resting sessions could not be looked after'))
  }, tidyEveryMs).unref()

  const tidyLogins = (): void => {
    logins.tidy().catch((error: unknown) => log.error({ err: error }, 'expired logins could not be removed'))
    signingKeys.tidy().catch((error: unknown) => log.error({ err: error }, 'an old signing key could not be removed'))
  }
  // Now too: there are servers that never run for an hour.
  tidyLogins()
  const tidyingLogins = setInterval(tidyLogins, tidyLoginsEveryMs).unref()

  const resources = opened.move()
  let closed: Promise<void> | undefined
  const close = async (keepSessions: boolean): Promise<void> => {
    stopping.abort()
    clearInterval(tidying)
    clearInterval(tidyingLogins)
    webSockets.close()
    await http.close()
    if (settings.stopWithServer && !keepSessions) await registry.stopAll()
    await registry.release()
    // What it removes it removes from groups that are removed themselves below. Of files it leaves the rest to the next start.
    await sweeping
    await audit.record({ action: 'server.stop' })
    log.info({}, 'stopped')
    await resources.disposeAsync()
  }
  return {
    url,
    firstAdminPassword: firstAdmin?.password,
    recovery,
    claude: claude(),
    isolation: walls.state(),
    oidcProblem: Promise.resolve(oidcProblem),
    worn: worn.promise,
    close: (options) => (closed ??= close(options?.keepSessions === true)),
  }
}
