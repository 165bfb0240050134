import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { InvalidConfig, parseConfig, type BrokerConfig, type BrokerStatus } from './config.ts'
import type { UpstreamCheck } from './upstream-check.ts'

const maxBody = 64 * 1024

export type ControlActions = {
  status: () => BrokerStatus
  configure: (config: BrokerConfig) => void
  /** null where there is no upstream. */
  checkUpstream: () => Promise<UpstreamCheck | null>
  /** Called once the answer is on its way. Must be harmless when called again. */
  stop: () => void
}

/** The control API: `GET /status`, `GET /upstream`, `PUT /config`, `POST /stop`. Who may connect is decided by the socket's mode, 0600. */
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
        case 'POST /stop':
          response.once('close', actions.stop)
          send(response, 200, actions.status())
          return
        default:
          send(response, 404, { error: 'There are GET /status, GET /upstream, PUT /config and POST /stop.' })
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
