import { brokerControl, socketPaths, type BrokerConfig, type BrokerStatus, type UpstreamCheck } from '@aicm/broker'
import type { Log } from '../lib/log.ts'
import { systemPath } from '../lib/system-path.ts'
import { startDetached } from '../process/detach.ts'

/** The broker as the server sees it: its own process, which outlives the server. */
export type BrokerProcess = {
  /** Folder of the socket that sessions talk to. */
  apiDir: string
  /** Starts it if none runs, and gives it its settings: once, and again after a failure. Rejects when it does not come up. */
  up(): Promise<BrokerStatus>
  /** Undefined while it is down. */
  status(): Promise<BrokerStatus | undefined>
  /** Whether its upstream took a connection, as of at most 30 s ago; undefined where that is not known (yet). */
  upstream(): Promise<UpstreamCheck | undefined>
  /** Looks after it until `signal`: a broker that has died is started again. */
  watch(signal: AbortSignal): void
}

const startTimeoutMs = 10_000
const startPollMs = 20
const watchEveryMs = 2000
/** The broker finds out in its own time, and remembers. */
const upstreamTimeoutMs = 1000

export const createBrokerProcess = (options: {
  dir: string
  main: string
  config: BrokerConfig
  /** Passed on to it, for TLS to the upstream. */
  extraCaCerts: string | undefined
  log: Log
}): BrokerProcess => {
  const control = brokerControl(options.dir)
  const status = (): Promise<BrokerStatus | undefined> => control.status().catch(() => undefined)

  const start = async (): Promise<void> => {
    await startDetached([process.execPath, options.main, '--dir', options.dir], {
      PATH: systemPath,
      ...(options.extraCaCerts === undefined ? {} : { NODE_EXTRA_CA_CERTS: options.extraCaCerts }),
    })
    const deadline = Date.now() + startTimeoutMs
    while ((await status()) === undefined) {
      if (Date.now() > deadline)
        throw new Error(`The broker did not come up within ${startTimeoutMs / 1000} s: see ${options.dir}/broker.log.`)
      await new Promise((resolve) => setTimeout(resolve, startPollMs))
    }
  }

  const ensure = async (): Promise<BrokerStatus> => {
    if ((await status()) === undefined) await start()
    return control.configure(options.config)
  }

  let started: Promise<BrokerStatus> | undefined
  const up = (): Promise<BrokerStatus> =>
    (started ??= ensure().catch((error: unknown) => {
      started = undefined
      throw error
    }))

  return {
    apiDir: socketPaths(options.dir).apiDir,
    up,
    status,
    upstream: () =>
      control.upstream({ signal: AbortSignal.timeout(upstreamTimeoutMs) }).then(
        (check) => check ?? undefined,
        () => undefined,
      ),
    watch: (signal) => {
      const timer = setInterval(() => {
        void status().then(async (found) => {
          if (signal.aborted || (found !== undefined && found.mode !== null)) return
          options.log.warn({}, 'the broker is down; it is started again')
          await ensure().catch((error: unknown) => options.log.error({ err: error }, 'the broker could not be started'))
        })
      }, watchEveryMs)
      timer.unref()
      signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    },
  }
}
