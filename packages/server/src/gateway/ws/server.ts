import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { DownMessage } from '@aicm/protocol'
import { credentialOf, type Identity } from '../../auth/identity.ts'
import { AppError, toAppError } from '../../lib/app-error.ts'
import { newRequestId } from '../../lib/id.ts'
import { authenticate, userOf } from '../access.ts'
import { checkOrigin, type OriginRules } from '../origin.ts'
import type { Services } from '../services.ts'
import { countedCaller, isHeldAgainst } from '../request-limits.ts'
import { createFrames, serveConnection, type Admitted } from './connection.ts'

/** A prompt with several images fits. */
const maxMessageBytes = 32 * 1024 * 1024

const refuse = (socket: Duplex, error: AppError, requestId: string): void => {
  const body = JSON.stringify(error.toBody(requestId))
  const told = { ...error.headers, ...(error.retryAfter !== undefined && { 'retry-after': error.retryAfter }) }
  const headers = Object.entries(told).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    `HTTP/1.1 ${error.status} ${error.code}\r\n${headers.join('')}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** Whoever offers something else (curl offers HTTP/2) gets what it asks for without it. */
export const isWebSocketUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

/** Takes WebSocket upgrades at /v1/ws: with a ticket in the query, or with a Bearer token in the header. */
export const createWebSocketServer = (http: Server, services: Services, rules: OriginRules) => {
  // Compression costs ten times the CPU of everything else a frame needs, and opens the door to compression bombs.
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false })
  const frames = createFrames()
  const { limits } = services

  const stopTelling = services.healthChecker.onChange((status) => {
    const message = JSON.stringify({ type: 'health', ...status } satisfies DownMessage)
    for (const socket of sockets.clients) if (socket.readyState === socket.OPEN) socket.send(message)
  })

  const identityOf = async (
    request: IncomingMessage,
    ticket: string | undefined,
    address: string,
  ): Promise<Identity> => {
    if (ticket === undefined) {
      await limits.ofAddress(address, 'stream', request.headers.authorization)
      return authenticate(services, request.headers)
    }
    try {
      return services.tickets.redeem(ticket)
    } catch (error) {
      // A good ticket is good from a blocked address too: whoever has it was known a moment ago.
      limits.assertNotBlocked(address)
      throw error
    }
  }

  const admit = async (request: IncomingMessage, socket: Duplex, address: string): Promise<Admitted> => {
    checkOrigin(rules, request, services.origins.schemeOf(request))
    const [path, search = ''] = (request.url ?? '').split(/\?(.*)/s, 2)
    if (path !== '/v1/ws') throw new AppError('not_found', 'WebSockets are served at /v1/ws.')
    if (request.httpVersion !== '1.1') throw new AppError('invalid_request', 'A WebSocket begins with HTTP/1.1.')
    const query = new URLSearchParams(search)
    const [ticket, ...more] = query.getAll('ticket')
    if (more.length > 0) throw new AppError('invalid_request', 'Give one ticket.')
    const other = [...query.keys()].find((key) => key !== 'ticket')
    if (other !== undefined)
      throw new AppError('invalid_request', `query has unknown keys: ${other}. A token must not stand in a URL.`)
    const identity = await identityOf(request, ticket, address)
    const user = await userOf(services, identity)
    await limits.ofCaller(countedCaller(identity), 'stream')
    // Whatever comes of the upgrade, the socket will close.
    const leave = await services.quotas.connection(user.id)
    if (socket.destroyed) leave()
    else socket.once('close', leave)
    return { identity, user, address }
  }

  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until ws takes over, a reset by the peer would be an unhandled error.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    const address = services.origins.addressOf(request)
    const requestId = newRequestId(services.clock.now())
    admit(request, socket, address).then(
      (admitted) => {
        socket.off('error', ignore)
        const { id: userId, username } = admitted.user
        const credential = credentialOf(admitted.identity)
        void services.audit.record({ action: 'ws.connect', userId, username, address, requestId, credential })
        sockets.handleUpgrade(request, socket, head, (webSocket) =>
          serveConnection(webSocket, socket, admitted, services, frames),
        )
      },
      (error: unknown) => {
        const refused = toAppError(error)
        void services.audit.record({ action: 'ws.connect', result: 'refused', code: refused.code, address, requestId })
        if (isHeldAgainst(refused)) limits.failed(address, undefined, request.headers.authorization)
        refuse(socket, refused, requestId)
      },
    )
  })

  return {
    /** Tells every client to come back to the next server. */
    close: (): void => {
      stopTelling()
      for (const socket of sockets.clients) socket.close(1012, 'the server restarts')
      sockets.close()
    },
  }
}
