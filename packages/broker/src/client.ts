import type { BrokerConfig } from './config.ts'
import { socketPaths } from './paths.ts'
import type { BrokerStatus } from './status.ts'
import type { UsageEntry } from './usage/entry.ts'
import type { UpstreamCheck } from './upstream-check.ts'

export type BrokerControl = {
  /** Rejects with ENOENT or ECONNREFUSED (as `code`) where no broker runs. */
  status: (options?: { signal?: AbortSignal }) => Promise<BrokerStatus>
  configure: (config: BrokerConfig, options?: { signal?: AbortSignal }) => Promise<BrokerStatus>
  /** Whether its upstream can be reached, as of at most 30 s ago; null where it has none. A broker older than this rejects. */
  upstream: (options?: { signal?: AbortSignal }) => Promise<UpstreamCheck | null>
  /** The ledger's entries behind `after`, a page of them; `id` tells one ledger from another. */
  ledger: (after: number) => Promise<{ id: string; entries: UsageEntry[] }>
  /** Those are stored elsewhere, and need not be kept. */
  forget: (upTo: number) => Promise<void>
  /** What was spent, by keys of `sumKeys`. */
  sums: (keys: string[]) => Promise<Record<string, { usd: number; tokens: number }>>
  /** Resolves when it has stopped accepting; answers that are being streamed have ten seconds more. */
  stop: (options?: { signal?: AbortSignal }) => Promise<void>
}

/** Talks to the broker of this folder through its control socket. Holds no connection between calls. */
export const brokerControl = (dir: string): BrokerControl => {
  const { control } = socketPaths(dir)
  const ask = (method: string, path: string, body: unknown, signal = AbortSignal.timeout(5_000)): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const sent = process.getBuiltinModule('node:http').request({
        socketPath: control,
        method,
        path,
        signal,
        agent: false,
        headers: { 'content-type': 'application/json' },
      })
      sent.on('error', reject)
      sent.on('response', async (response) => {
        try {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk)
          const answer: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
          if (response.statusCode === 200) resolve(answer)
          else reject(new Error(`The broker refused ${method} ${path}: ${messageOf(answer)}`))
        } catch (error) {
          reject(new Error(`The broker's answer to ${method} ${path} was cut short`, { cause: error }))
        }
      })
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })

  return {
    status: async (options) => parseStatus(await ask('GET', '/status', undefined, options?.signal)),
    configure: async (config, options) => parseStatus(await ask('PUT', '/config', config, options?.signal)),
    upstream: async (options) => parseCheck(await ask('GET', '/upstream', undefined, options?.signal)),
    // The version was looked at before: from here on it is a broker like ours.
    ledger: async (after) => (await ask('POST', '/ledger', { after })) as { id: string; entries: UsageEntry[] },
    forget: async (upTo) => {
      await ask('POST', '/ledger/forget', { upTo })
    },
    sums: async (keys) =>
      ((await ask('POST', '/sums', { keys })) as { sums: Record<string, { usd: number; tokens: number }> }).sums,
    stop: async (options) => {
      await ask('POST', '/stop', undefined, options?.signal)
    },
  }
}

const messageOf = (answer: unknown): string =>
  typeof answer === 'object' && answer !== null && 'error' in answer ? String(answer.error) : 'no reason given'

/** The broker may be an older one than this client, so what it says is looked at. */
const parseStatus = (answer: unknown): BrokerStatus => {
  if (isStatus(answer)) return answer
  throw new Error('The process at the control socket does not answer like a broker')
}

const parseCheck = (answer: unknown): UpstreamCheck | null => {
  const check = typeof answer === 'object' && answer !== null && 'check' in answer ? answer.check : undefined
  if (check === null || isCheck(check)) return check
  throw new Error('The process at the control socket does not answer like a broker')
}

const isCheck = (check: unknown): check is UpstreamCheck =>
  typeof check === 'object' &&
  check !== null &&
  'error' in check &&
  (check.error === null || typeof check.error === 'string') &&
  'checkedAt' in check &&
  typeof check.checkedAt === 'string'

const isStatus = (answer: unknown): answer is BrokerStatus =>
  typeof answer === 'object' &&
  answer !== null &&
  'pid' in answer &&
  typeof answer.pid === 'number' &&
  'version' in answer &&
  typeof answer.version === 'string' &&
  'mode' in answer &&
  (answer.mode === null || answer.mode === 'live' || answer.mode === 'demo')
