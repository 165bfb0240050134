import type { Http2ServerResponse } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../lib/app-error.ts'

/** Node ends a request over HTTP/1 that does not come in time. Over HTTP/2, where many share a connection, nobody else does. */
export const refuseSlowBodies = (app: FastifyInstance, requestMs: number): void => {
  app.addHook('preParsing', (request, reply, body, done) => {
    if (request.raw.httpVersionMajor < 2) return done(null, body)
    const timer = setTimeout(() => {
      const { stream } = reply.raw as unknown as Http2ServerResponse
      reply.raw.once('finish', () => stream.close())
      body.emit('error', new AppError('request_timeout', 'The request did not come in time.'))
    }, requestMs)
    for (const end of ['end', 'error', 'close']) body.once(end, () => clearTimeout(timer))
    done(null, body)
  })
}
