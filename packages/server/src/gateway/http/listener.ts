import type { IncomingMessage, Server, ServerOptions } from 'node:http'
import type { Http2SecureServer } from 'node:http2'
import type { Server as NetServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { FastifyServerFactoryHandler } from 'fastify'
import { isWebSocketUpgrade } from '../ws/server.ts'
import type { Certificate } from './certificate.ts'

// Not imported: for an ES module Node reads each export of node:http, among them some for which it loads a whole HTTP client.
const { createServer } = process.getBuiltinModule('node:http')

const keepAliveMs = 65_000
/** As HTTP/1 has it: more is answered 431. */
const headerBytes = 16 * 1024
const streamsOfConnection = 128

export type Listener = {
  /** For fastify, which asks for a second server where a name has two addresses. */
  create(handler: FastifyServerFactoryHandler): Server
  use(certificate: Certificate): void
}

const oldest = { minVersion: 'TLSv1.2' } as const

/** As a server of HTTP/1 has it: ends what still asks or waits, so that a stop need not wait for it. WebSockets end by themselves. */
const withClosing = (server: Http2SecureServer): Http2SecureServer => {
  const open = new Set<TLSSocket>()
  server.on('secureConnection', (socket: TLSSocket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.on('upgrade', (_request: IncomingMessage, socket: TLSSocket) => open.delete(socket))
  return Object.assign(server, {
    closeAllConnections: () => {
      for (const socket of open) socket.destroy()
    },
  })
}

/** What is listened with: HTTP/1.1, and with a certificate HTTPS with HTTP/2 too. WebSockets are HTTP/1.1 on the same port. */
export const createListener = (options: {
  requestMs: number
  certificate: Certificate | undefined
  /** Before it listens. */
  prepare: (server: NetServer) => void
}): Listener => {
  const { requestMs, certificate } = options
  const headersMs = requestMs / 3
  const timeouts: ServerOptions = {
    requestTimeout: requestMs,
    headersTimeout: headersMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.min(10_000, requestMs / 6),
    maxHeaderSize: headerBytes,
    shouldUpgradeCallback: isWebSocketUpgrade,
  }
  const secure: Http2SecureServer[] = []

  const createSecure = (handler: FastifyServerFactoryHandler, given: Certificate): Http2SecureServer => {
    // Most servers have no certificate.
    const server = process.getBuiltinModule('node:http2').createSecureServer(
      {
        ...given,
        ...oldest,
        ...timeouts,
        allowHTTP1: true,
        handshakeTimeout: headersMs,
        settings: { maxConcurrentStreams: streamsOfConnection, maxHeaderListSize: headerBytes },
      },
      handler as never,
    )
    server.on('session', (session) => session.setTimeout(keepAliveMs, () => session.close()))
    // An answer would wait for an encryption that never comes, and the connection with it.
    server.prependListener('tlsClientError', (_error, socket) => socket.destroy())
    secure.push(server)
    return withClosing(server)
  }

  return {
    create: (handler) => {
      const server =
        certificate === undefined ? createServer(timeouts, handler as never) : createSecure(handler, certificate)
      options.prepare(server)
      // The same to all who use it: requests, upgrades, close.
      return server as unknown as Server
    },
    use: (renewed) => {
      for (const server of secure) server.setSecureContext({ ...renewed, ...oldest })
    },
  }
}
