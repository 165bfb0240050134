import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import type { GatewaySettings } from '../../config/gateway.ts'
import { AppError, toAppError } from '../../lib/app-error.ts'
import { newRequestId } from '../../lib/id.ts'
import { once } from '../../lib/once.ts'
import { authenticate } from '../access.ts'
import { checkOrigin, type OriginRules } from '../origin.ts'
import type { Services } from '../services.ts'
import { recordRefusal } from './audit.ts'
import { createReplyError } from './errors.ts'
import { acceptJsonOnly } from './json-body.ts'
import { apiHeaders, pageHeaders, servePage } from './page.ts'
import type { Listener } from './listener.ts'
import { limitRequests, noteFailures, tellLimit } from './limit-requests.ts'
import { describeRoutes } from './openapi.ts'
import { registerRoutes, schemaController } from './register-routes.ts'
import { refuseSlowBodies } from './slow-bodies.ts'

const maxBodyBytes = 1024 * 1024

/** What the parser of HTTP did not take. */
const unreadable = (code: unknown): { status: string; refused: AppError } => {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return {
      status: '408 Request Timeout',
      refused: new AppError('request_timeout', 'The request did not come in time.'),
    }
  const refused = new AppError('invalid_request', 'The request is not valid HTTP.')
  return { status: code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request', refused }
}

/** The HTTP side of the gateway. Not listening yet. */
export const createHttpServer = async (
  services: Services,
  options: { rules: OriginRules; webRoot: string; logRequests: boolean; settings: GatewaySettings; listener: Listener },
): Promise<FastifyInstance> => {
  const { log } = services
  const { settings } = options
  const secure = settings.tls !== undefined
  const replyError = createReplyError(log, noteFailures(services.limits, services.origins))
  // Without a logger of fastify's: it would make one for each request, and listen for the end of each answer.
  const app = fastify({
    genReqId: () => newRequestId(services.clock.now()),
    bodyLimit: maxBodyBytes,
    serverFactory: options.listener.create,
    forceCloseConnections: true,
    // Ids are checked by their schema. What the router itself refuses leaves in the same form as everything else.
    routerOptions: { maxParamLength: 2000 },
    frameworkErrors: replyError,
    schemaController,
    clientErrorHandler: (error, socket) => {
      if (!socket.writable) return
      const { status, refused } = unreadable('code' in error ? error.code : undefined)
      const body = JSON.stringify(refused.toBody(newRequestId(services.clock.now())))
      socket.end(
        `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      )
    },
  })
  app.setErrorHandler((error: FastifyError, request, reply) =>
    recordRefusal(services, request, replyError(error, request, reply)),
  )
  acceptJsonOnly(app)
  if (secure) refuseSlowBodies(app, settings.requestMs)

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(request.url.startsWith('/v1/') ? apiHeaders : pageHeaders)
    if (secure) reply.header('strict-transport-security', 'max-age=31536000')
    reply.header('x-request-id', request.id)
    try {
      checkOrigin(options.rules, request.raw, services.origins.schemeOf(request.raw))
    } catch (error) {
      return done(toAppError(error))
    }
    const { origin } = request.headers
    if (origin === undefined || !options.rules.origins.has(origin)) return done()
    reply.headers({
      'access-control-allow-origin': origin,
      vary: 'origin',
      'access-control-expose-headers':
        'x-request-id, retry-after, ratelimit, ratelimit-policy, etag, content-range, content-disposition',
    })
    if (request.method !== 'OPTIONS') return done()
    void reply
      .headers({
        'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers':
          'authorization, content-type, last-event-id, if-match, if-none-match, if-range, range',
        'access-control-max-age': '600',
      })
      .code(204)
      .send()
  })
  if (options.logRequests)
    app.addHook('onResponse', async (request, reply) => {
      log.debug(
        {
          requestId: request.id,
          method: request.method,
          path: request.routeOptions.url,
          status: reply.statusCode,
          ms: Math.round(reply.elapsedTime),
        },
        'request',
      )
    })

  app.decorateRequest('caller', null)
  app.decorateRequest('audited', null)
  limitRequests(app, services)
  const known: { method: string; pattern: RegExp }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat())
      known.push({ method: one, pattern: new RegExp(`^${url.replaceAll(/:[a-z]+/gi, '[^/]+')}$`) })
  })
  registerRoutes(app, services)
  const openApi = once(() => describeRoutes(services))
  app.get('/openapi.json', () => openApi())
  const hasPage = await servePage(app, options.webRoot)

  app.setNotFoundHandler(async (request, reply) => {
    const { clientAddress, headers } = request
    tellLimit(reply, 'read', await services.limits.ofAddress(clientAddress, 'read', headers.authorization))
    const path = request.url.split('?', 1)[0] ?? ''
    if (path === '/v1' || path.startsWith('/v1/')) await authenticate(services, headers)
    const methods = known
      .filter(({ pattern, method }) => pattern.test(path) && method !== 'HEAD')
      .map(({ method }) => method)
    if (methods.length > 0 && !methods.includes('*') && !methods.includes(request.method)) {
      reply.header('allow', methods.join(', '))
      throw new AppError('method_not_allowed', `${request.method} is not possible here; ${methods.join(', ')} is.`)
    }
    // An address of the page's own: it finds its way by itself.
    if (hasPage && request.method === 'GET' && (request.headers.accept ?? '').includes('text/html'))
      return reply.header('cache-control', 'no-cache').sendFile('index.html')
    throw new AppError('not_found', `There is nothing at ${request.method} ${path}.`)
  })
  return app
}
