import {
  brokerCommand,
  brokerControl,
  brokerVersion,
  openRenewed,
  socketPaths,
  type BreakerChange,
  type BrokerConfig,
  type BrokerStatus,
  type RenewedKey,
  type UpstreamCheck,
} from '@aicm/broker'
import type { Log } from '../lib/log.ts'
import { createSemaphore } from '../lib/semaphore.ts'
import { systemPath } from '../lib/system-path.ts'
import { startDetached } from '../process/detach.ts'

/** The broker as the server sees it: its own process, which outlives the server. */
export type BrokerProcess = {
  /** Folder of the socket that sessions talk to. */
  apiDir: string
  /** Starts it if none runs, and gives it its settings: once, and again after a failure. Rejects when it does not come up. */
  up(): Promise<BrokerStatus>
  /** Gives it its settings as they are now. One that is down gets them when it is started. Rejects when it does not take them. */
  reconfigure(): Promise<void>
  /** Undefined while it is down. */
  status(): Promise<BrokerStatus | undefined>
  /** How often this server has had to start it again. */
  restarts(): number
  /** How much of the model's answers that are under way it has given to a session; undefined where there are none. */
  sentBytes(sessionId: string): Promise<number | undefined>
  /** Whether its upstream took a connection, as of at most 30 s ago; undefined where that is not known (yet). */
  upstream(): Promise<UpstreamCheck | undefined>
  /** What was spent, by keys of `sumKeys`; empty while it is down. */
  sums(keys: string[]): Promise<Record<string, { usd: number; tokens: number }>>
  /** Takes what it has to tell into the database. Does nothing while it is down. */
  collect(): Promise<void>
  /** Looks after it until `signal`: a broker that has died is started again, and what it has to tell is taken. */
  watch(signal: AbortSignal): void
}

const startTimeoutMs = 10_000
const startPollMs = 20
const watchEveryMs = 2000
/** The broker finds out in its own time, and remembers. */
const upstreamTimeoutMs = 1000

/** Nobody is there; one that is there and does not answer goes on with the settings that it has. */
const isDown = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(String(error.code))

export const createBrokerProcess = (options: {
  dir: string
  main: string
  /** Asked for at each (re)start and change. */
  config(): Promise<BrokerConfig>
  /** Of the tokens that it renews. */
  sealKey: Uint8Array
  onRenewed(key: RenewedKey, tokens: { accessToken: string; refreshToken: string; expiresAt: number }): Promise<unknown>
  takeUsage(status: BrokerStatus): Promise<void>
  /** A credential's circuit breaker has changed, in the time of this server. */
  onBreakerChange(change: BreakerChange): void
  /** Passed on to it, for TLS to the upstream. */
  extraCaCerts: string | undefined
  log: Log
}): BrokerProcess => {
  const control = brokerControl(options.dir)
  const status = (): Promise<BrokerStatus | undefined> => control.status().catch(() => undefined)
  let restarts = 0
  /** The last change of a breaker that was told; those from before this server were another's to tell. */
  let toldTo: number | undefined

  const tellBreakerChanges = (changes: BreakerChange[]): void => {
    for (const change of changes.filter(({ seq }) => seq > (toldTo ?? 0))) options.onBreakerChange(change)
    toldTo = changes.at(-1)?.seq ?? 0
  }

  const start = async (): Promise<void> => {
    await startDetached(brokerCommand(options.dir, options.main), {
      PATH: systemPath,
      ...(options.extraCaCerts === undefined ? {} : { NODE_EXTRA_CA_CERTS: options.extraCaCerts }),
    })
    const deadline = Date.now() + startTimeoutMs
    while ((await status())?.version !== brokerVersion) {
      if (Date.now() > deadline)
        throw new Error(`The broker did not come up within ${startTimeoutMs / 1000} s: see ${options.dir}/broker.log.`)
      await new Promise((resolve) => setTimeout(resolve, startPollMs))
    }
  }

  const takingInTurn = createSemaphore(1)
  const takeRenewed = (): Promise<void> =>
    takingInTurn(async () => {
      const renewed = openRenewed(options.dir, options.sealKey)
      for (const key of renewed.keys()) {
        const tokens = renewed.take(key)
        if (tokens !== undefined) await options.onRenewed(key, tokens)
        renewed.remove(key)
      }
    })

  const newestConfig = async (): Promise<BrokerConfig> => {
    await takeRenewed()
    return options.config()
  }
  /** The newest settings are the last to arrive. */
  const configuringInTurn = createSemaphore(1)

  const ensure = async (): Promise<BrokerStatus> => {
    const found = await status()
    // One of another version finishes what it streams, beside its successor.
    if (found !== undefined && found.version !== brokerVersion) await control.stop().catch(() => undefined)
    if (found?.version === brokerVersion) toldTo ??= found.breakerChanges.at(-1)?.seq
    else {
      await start()
      toldTo = 0
    }
    return configuringInTurn(async () => control.configure(await newestConfig()))
  }

  let started: Promise<BrokerStatus> | undefined
  const up = (): Promise<BrokerStatus> =>
    (started ??= ensure().catch((error: unknown) => {
      started = undefined
      throw error
    }))

  const collectFrom = async (found: BrokerStatus): Promise<void> => {
    if (found.renewed.length > 0) await takeRenewed()
    await options.takeUsage(found)
  }

  return {
    apiDir: socketPaths(options.dir).apiDir,
    up,
    reconfigure: () =>
      configuringInTurn(async () => {
        // Before it is asked whether it has any: one that is being started gets its first behind this.
        const config = await newestConfig()
        const found = await control.status().catch((error: unknown) => {
          if (!isDown(error)) throw error
        })
        if ((found?.mode ?? null) !== null) await control.configure(config)
      }),
    status,
    restarts: () => restarts,
    sentBytes: async (sessionId) => {
      const answers = (await status())?.answering.filter((answer) => answer.sessionId === sessionId) ?? []
      return answers.length === 0 ? undefined : answers.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
    },
    upstream: () =>
      control.upstream({ signal: AbortSignal.timeout(upstreamTimeoutMs) }).then(
        (check) => check ?? undefined,
        () => undefined,
      ),
    sums: (keys) => control.sums(keys).catch(() => ({})),
    collect: async () => {
      const found = await status()
      if (found?.version === brokerVersion) await collectFrom(found)
    },
    watch: (signal) => {
      let looking = false
      const look = async (): Promise<void> => {
        const found = await status()
        if (signal.aborted) return
        if (found !== undefined && found.mode !== null && found.version === brokerVersion) {
          tellBreakerChanges(found.breakerChanges)
          return collectFrom(found)
        }
        options.log.warn({}, 'the broker is down; it is started again')
        await ensure()
        restarts++
      }
      const timer = setInterval(() => {
        if (looking) return
        looking = true
        look()
          .catch((error: unknown) => options.log.error({ err: error }, 'the broker could not be looked after'))
          .finally(() => (looking = false))
      }, watchEveryMs)
      timer.unref()
      signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    },
  }
}
