import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ErrorBody, type Input, type Output, type Route } from '@aicm/protocol'
import { Type } from 'typebox'
import type { Identity } from '../../auth/identity.ts'
import { assertMay, authenticate, userOf, type Caller as User } from '../access.ts'
import type { Services } from '../services.ts'
import { createCheck } from '../validate.ts'
import { countConnection, wantsEventStream } from './event-stream.ts'
import { acceptBytesOnly } from './json-body.ts'
import { recordAct, recordedAction } from './audit.ts'
import { limitClassOf } from './limit-requests.ts'

type Caller = { user: User; identity: Identity }

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of bytes, not of JSON. */
    takesBytes?: boolean
  }
  interface FastifyRequest {
    /** Who asks; set before anything else where the route wants a token. */
    caller: Caller | null
  }
}

type Context<R extends Route> = (R['auth'] extends 'none' ? unknown : Caller) & {
  request: FastifyRequest
  reply: FastifyReply
}

/** A handler answers with the route's response, or with `streamed` when it has written the reply itself. */
export const streamed = Symbol('streamed')
type Handler<R extends Route> = (call: Input<R> & Context<R>) => Promise<Output<R> | typeof streamed>

const bytes = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
const emptyQuery = Type.Object({}, { additionalProperties: false })

/**
 * Registers one operation of the protocol: the token before anything else, then the checks, then the handler. One that `waits`
 * for a turn stays open as long as an event stream, and counts as one.
 */
export const createRegister =
  (app: FastifyInstance, services: Services) =>
  <R extends Route>(route: R, handler: Handler<R>, options: { bodyLimit?: number; waits?: true } = {}): void => {
    const check = {
      params: route.params && createCheck(route.params, 'path'),
      query: createCheck(route.query ?? emptyQuery, 'query'),
      body: route.body && createCheck(route.body, 'body'),
    }
    const action = recordedAction(route)
    const define = (scope: FastifyInstance) =>
      scope.route({
        method: route.method,
        url: route.path,
        bodyLimit: options.bodyLimit,
        config: {
          limitClass: limitClassOf(route),
          takesBytes: route.bytes === 'body',
          identify: async (request) => {
            if (route.auth === 'none') return
            const identity = await authenticate(services, request.headers)
            const user = await userOf(services, identity, route)
            request.caller = { identity, user }
            if (route.auth !== 'token') assertMay(user, route.auth)
          },
        },
        schema: {
          operationId: route.id,
          summary: route.summary,
          ...(route.description === undefined ? {} : { description: route.description }),
          tags: [route.tag],
          ...(route.auth === 'none' ? {} : { security: [{ bearer: [] }] }),
          ...(route.params === undefined ? {} : { params: route.params }),
          ...(route.query === undefined ? {} : { querystring: route.query }),
          ...(route.body === undefined ? {} : { body: route.body }),
          ...(route.bytes === 'body' && { body: { content: bytes } }),
          response: {
            [route.status]:
              route.bytes === 'answer'
                ? { description: 'The content', content: bytes }
                : (route.response ?? Type.Null({ description: 'Nothing' })),
            default: ErrorBody,
          },
        },
        handler: async (request, reply) => {
          const call = {
            ...(check.params && { params: check.params(request.params) }),
            query: check.query(request.query, { convert: true }),
            ...(check.body && { body: check.body(request.body === undefined ? {} : request.body) }),
            ...request.caller,
            request,
            reply,
          }
          const stays = options.waits === true || (route.streams === true && wantsEventStream(request))
          if (stays && request.caller !== null) await countConnection(services.quotas, request.caller.user.id, reply)
          const answer = await handler(call as unknown as Input<R> & Context<R>)
          if (action !== undefined) await recordAct(services, action, { request, answer })
          if (answer === streamed) return reply
          return reply.code(route.status).send(answer)
        },
      })
    if (route.bytes !== 'body') define(app)
    else
      app.register(async (scope) => {
        acceptBytesOnly(scope)
        define(scope)
      })
  }

export type Register = ReturnType<typeof createRegister>
