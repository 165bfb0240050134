import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Message } from '@aicm/protocol'
import { systemClock, type Clock } from '../../server/src/lib/clock.ts'
import { createBreaker } from '../../server/src/lib/breaker.ts'
import type { Log } from '../../server/src/lib/log.ts'
import type { SessionWalls } from '../../server/src/isolation/isolation.ts'
import { defaultResourceLimits } from '../../server/src/config/resource-limits.ts'
import { createProcesses } from '../../server/src/session/processes.ts'
import { isStartFailure, type WatchLimits } from '../../server/src/session/process-link.ts'
import type { RecoveryPolicy } from '../../server/src/session/recovery.ts'
import { createRegistry, type Registry, type RegistryDeps, type RestLimits } from '../../server/src/session/registry.ts'
import type { Session } from '../../server/src/session/session.ts'
import type { Append } from '../../server/src/storage/event-store.ts'
import { openMemoryDatabase } from '../../server/src/storage/drivers/memory/database.ts'
import { openMemoryKeyValue } from '../../server/src/storage/drivers/memory/key-value.ts'
import { installFakeClaude } from './fake-claude/install.ts'
import { tempDir } from './temp-dir.ts'

/** A server's sessions without its gateway: the fake claude at level `process`, storage in memory. */
export type SessionServer = {
  registry: Registry
  create(config?: { model?: string; oneShot?: boolean }): Promise<Session>
  /** From here on nothing that it writes arrives, as if it had been killed. */
  kill(): void
  /** What it logged as an error, as text. */
  errors: string[]
}

export type ServeOptions = {
  limits?: Partial<WatchLimits>
  policy?: Partial<RecoveryPolicy>
  maxProcesses?: number
  rest?: Partial<RestLimits>
  unloadMs?: number
  clock?: Clock
  spares?: Partial<RegistryDeps['spares']>
  shortage?: RegistryDeps['shortage']
  sentBytes?: (sessionId: string) => Promise<number | undefined>
  starts?: { failures: number; probeAfterMs: number }
}

export type SessionNode = AsyncDisposable & {
  dir: string
  /** One server on the node's storage; a second one is the first one's successor. */
  serve(options?: ServeOptions): SessionServer
  log(sessionId: string): Promise<Message[]>
  /** Called before each append: a rejection is a failing storage. */
  beforeAppend: (append: Append) => Promise<void>
  program: string
  /** As if no server had written down what it started. */
  forgetProcesses(): Promise<void>
}

/** Level `process`, as the server's user. */
export const bareWalls: SessionWalls = {
  of: async () => ({ level: 'process', owner: undefined, limits: { memory: null, ...defaultResourceLimits } }),
  give: async () => undefined,
  makeGroup: () => undefined,
  staleGroups: async () => [],
  accountsDir: '/etc',
  readOnly: [],
}
const policy = { baseDelay: 5, maxDelay: 20, factor: 2, maxRetries: 3, continue: 'auto' as const }
const userId = 'usr_00000000000000000000000001'
const workspaceId = 'wsp_00000000000000000000000001'

export const openSessionNode = async (): Promise<SessionNode> => {
  const folder = await tempDir()
  const database = openMemoryDatabase()
  const kv = openMemoryKeyValue()
  const workspace = join(folder.path, 'workspace')
  await Promise.all([workspace, join(folder.path, 'broker'), join(folder.path, 'bin')].map((path) => mkdir(path)))
  await database.workspaces.create({
    ...{
      id: workspaceId,
      userId,
      name: 'test',
      source: 'empty',
      path: workspace,
      gitUrl: null,
      status: 'ready',
      error: null,
    },
    createdAt: 0,
  })
  const servers: SessionServer[] = []

  const node: SessionNode = {
    dir: folder.path,
    program: installFakeClaude(join(folder.path, 'bin')),
    beforeAppend: async () => {},
    forgetProcesses: async () => {
      for (const { key } of await kv.list('process/')) await kv.delete(key)
    },
    log: (sessionId) => database.events.read({ sessionId, after: 0, limit: 1_000_000 }),
    serve: (options = {}) => {
      let killed = false
      const assertAlive = (): void => {
        if (killed) throw new Error('this server was killed')
      }
      const errors: string[] = []
      const quiet = (): void => {}
      const log: Log = {
        ...{ debug: quiet, info: quiet, warn: quiet, child: () => log },
        error: (fields, message) => void errors.push(`${message} ${'err' in fields ? String(fields.err) : ''}`),
      }
      const processes = createProcesses(
        {
          ...kv,
          put: async (key, value) => {
            assertAlive()
            await kv.put(key, value)
          },
          delete: async (key) => {
            assertAlive()
            await kv.delete(key)
          },
        },
        database.workspaces,
        {
          ...{ dataDir: folder.path, brokerDir: join(folder.path, 'broker'), walls: bareWalls },
          confinementOf: async () => undefined,
          program: () => node.program,
          brokerUp: async () => undefined,
          tokens: { give: () => 'token', revoke: () => {}, sessions: () => [] },
        },
      )
      const deps: RegistryDeps = {
        processes,
        policy: { ...policy, ...options.policy },
        clock: options.clock ?? systemClock,
        log,
        onClosed: () => undefined,
        ...{ billed: () => true, servesGuests: () => true, onGuest: async () => {} },
        limits: {
          pingMs: 60_000,
          pongMs: 60_000,
          turnMs: 60_000,
          toolMs: 60_000,
          startMs: 60_000,
          resultMs: 50,
          graceMs: 5000,
          ...options.limits,
        },
        starts: createBreaker({
          ...(options.starts ?? { failures: 50, probeAfterMs: 100 }),
          isFailure: isStartFailure,
        }),
        sentBytes: options.sentBytes ?? (async () => undefined),
        slotLimits: { maxLive: options.maxProcesses ?? 100, maxStarting: 8 },
        shortage: options.shortage ?? (() => undefined),
        spares: { min: 0, max: 4, delayMs: 0, restMs: 60_000, ...options.spares },
        workspaceFor: async (_, id) => (id === workspaceId ? { id, name: 'test', path: workspace } : undefined),
        unreserve: async () => undefined,
        unloadMs: options.unloadMs ?? 60_000,
        rest: { idleMs: undefined, closeMs: undefined, journalBytes: Number.POSITIVE_INFINITY, ...options.rest },
      }
      const events = {
        ...database.events,
        append: async (append: Append, onWritten?: () => void) => {
          await node.beforeAppend(append)
          assertAlive()
          await database.events.append(append, onWritten)
        },
      }
      const registry = createRegistry({ ...database, events }, deps)
      const server: SessionServer = {
        registry,
        errors,
        create: (config = {}) => {
          const whole = { oneShot: false, ...config, userId, workspaceId }
          return registry.create(whole, registry.spare(whole))
        },
        kill: () => void (killed = true),
      }
      servers.push(server)
      return server
    },
    [Symbol.asyncDispose]: async () => {
      for (const { registry } of servers) await registry.release()
      const last = createProcesses(kv, database.workspaces, {
        ...{ dataDir: folder.path, brokerDir: folder.path, walls: bareWalls },
        confinementOf: async () => undefined,
        program: () => node.program,
        brokerUp: async () => undefined,
        tokens: { give: () => 'token', revoke: () => {}, sessions: () => [] },
      })
      await last.sweep(() => false)
      await folder[Symbol.asyncDispose]()
    },
  }
  return node
}

/** A UUID for a prompt. */
export const newTurnId = (): string => crypto.randomUUID()

export const markerOf = (session: Session): string =>
  `AICM_PROCESS=${session.record().id}/${session.record().state.generation}`
