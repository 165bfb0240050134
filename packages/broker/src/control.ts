import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { parseConfig, type BrokerConfig } from './config.ts'
import { InvalidConfig, record, wholeNumber } from './parse.ts'
import type { BrokerStatus } from './status.ts'
import type { UsageEntry } from './usage/entry.ts'
import type { UpstreamCheck } from './upstream-check.ts'

/** Room for the budgets and credentials of many users and sessions. */
const maxBody = 16 * 1024 * 1024
const ledgerPage = 1000

export type ControlActions = {
  status: () => BrokerStatus
  configure: (config: BrokerConfig) => void
  /** null where there is no upstream. */
  checkUpstream: () => Promise<UpstreamCheck | null>
  ledger: (after: number, limit: number) => { id: string; entries: UsageEntry[] }
  /** The server has the ledger up to there. */
  forget: (upTo: number) => void
  /** Sums by their keys, see usage/sums.ts. */
  sums: (keys: string[]) => Record<string, { usd: number; tokens: number }>
  /** Called once the answer is on its way. Must be harmless when called again. */
  stop: () => void
}

/** The control API. Who may connect is decided by the socket's mode, 0600. */
export const controlHandler =
  (actions: ControlActions): RequestListener =>
  async (request, response) => {
    try {
      switch (`${request.method} ${request.url}`) {
        case 'GET /status':
          send(response, 200, actions.status())
          return
        case 'GET /upstream':
          send(response, 200, { check: await actions.checkUpstream() })
          return
        case 'PUT /config':
          actions.configure(parseConfig(await readJson(request)))
          send(response, 200, actions.status())
          return
        case 'POST /ledger': {
          const { after } = record(await readJson(request), 'The request')
          send(response, 200, actions.ledger(wholeNumber(after, 'after', 0), ledgerPage))
          return
        }
        case 'POST /ledger/forget': {
          const { upTo } = record(await readJson(request), 'The request')
          actions.forget(wholeNumber(upTo, 'upTo', 0))
          send(response, 200, {})
          return
        }
        case 'POST /sums': {
          const { keys } = record(await readJson(request), 'The request')
          if (!Array.isArray(keys)) throw new InvalidConfig('keys must be a list')
          send(response, 200, { sums: actions.sums(keys.map(String)) })
          return
        }
        case 'POST /stop':
          response.once('close', actions.stop)
          send(response, 200, actions.status())
          return
        default:
          send(response, 404, {
            error:
              'There are GET /status, GET /upstream, PUT /config, POST /ledger, POST /ledger/forget, POST /sums and POST /stop.',
          })
      }
    } catch (error) {
      send(response, error instanceof InvalidConfig ? 400 : 500, {
        error: error instanceof InvalidConfig ? error.message : 'internal error',
      })
    }
  }

const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > maxBody) throw new InvalidConfig('The configuration is too large')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    // Without the cause: a JSON error quotes its input, and that may be the credential.
    throw new InvalidConfig('The configuration is not JSON')
  }
}

const send = (response: ServerResponse, status: number, body: unknown): void => {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(body))
}
