import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { DownMessage } from '@aicm/protocol'
import { AppError, toAppError } from '../../lib/app-error.ts'
import { newId } from '../../lib/id.ts'
import { authenticate, userOf } from '../access.ts'
import { checkOrigin, type OriginRules } from '../origin.ts'
import type { Services } from '../services.ts'
import { createFrames, serveConnection } from './connection.ts'

/** A prompt with several images fits. */
const maxMessageBytes = 32 * 1024 * 1024

const refuse = (socket: Duplex, error: AppError, requestId: string): void => {
  const body = JSON.stringify(error.toBody(requestId))
  socket.end(
    `HTTP/1.1 ${error.status} ${error.code}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** Takes WebSocket upgrades at /v1/ws: with a ticket in the query, or with a Bearer token in the header. */
export const createWebSocketServer = (http: Server, services: Services, rules: OriginRules) => {
  // Compression costs ten times the CPU of everything else a frame needs, and opens the door to compression bombs.
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false })
  const frames = createFrames()

  const stopTelling = services.healthChecker.onChange((status) => {
    const message = JSON.stringify({ type: 'health', ...status } satisfies DownMessage)
    for (const socket of sockets.clients) if (socket.readyState === socket.OPEN) socket.send(message)
  })

  const admit = async (request: IncomingMessage) => {
    checkOrigin(rules, request)
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname !== '/v1/ws') throw new AppError('not_found', 'WebSockets are served at /v1/ws.')
    const ticket = url.searchParams.get('ticket')
    const other = [...url.searchParams.keys()].find((key) => key !== 'ticket')
    if (other !== undefined)
      throw new AppError('invalid_request', `query has unknown keys: ${other}. A token must not stand in a URL.`)
    const identity = ticket === null ? await authenticate(services, request.headers) : services.tickets.redeem(ticket)
    return { identity, user: await userOf(services, identity) }
  }

  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until ws takes over, a reset by the peer would be an unhandled error.
    const ignore = (): void => undefined
    socket.on('error', ignore)
    admit(request).then(
      (caller) => {
        socket.off('error', ignore)
        sockets.handleUpgrade(request, socket, head, (webSocket) =>
          serveConnection(webSocket, caller, services, frames),
        )
      },
      (error: unknown) => refuse(socket, toAppError(error), newId('req', services.clock.now())),
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
