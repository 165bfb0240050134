import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Route } from '@aicm/protocol'
import type { LimitClass } from '../../config/limits.ts'
import type { AppError } from '../../lib/app-error.ts'
import { rateLimitFields } from '../../rate-limit/fields.ts'
import type { Taken } from '../../rate-limit/token-bucket.ts'
import type { Origins } from '../client-address.ts'
import { countedCaller, isHeldAgainst, type Counted, type RequestLimits } from '../request-limits.ts'
import { wantsEventStream } from './event-stream.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where it comes from; a trusted proxy's word counts. */
    readonly clientAddress: string
  }
  interface FastifyContextConfig {
    limitClass?: LimitClass
    /** Sets the caller of a request, or throws. */
    identify?: (request: FastifyRequest) => Promise<void>
  }
}

/** What a route is counted as. Its answer by events is a stream, unless it runs a prompt. */
export const limitClassOf = ({ method, streams }: Route): LimitClass =>
  method === 'GET' ? 'read' : streams === true ? 'execute' : 'write'

/** What the answer to a request is held against. */
const countedOf = ({ caller }: FastifyRequest): Counted | undefined =>
  caller === null ? undefined : countedCaller(caller.identity)

/** What is left to whoever asks; where it is told twice the last counts, which is of the narrower limit. */
export const tellLimit = (reply: FastifyReply, limitClass: LimitClass, left: Taken | undefined): void => {
  if (left !== undefined) reply.headers(rateLimitFields(limitClass, left))
}

/** For `createReplyError`. */
export const noteFailures =
  (limits: RequestLimits, origins: Origins) =>
  (error: AppError, request: FastifyRequest): void => {
    if (isHeldAgainst(error))
      limits.failed(origins.addressOf(request.raw), countedOf(request), request.headers.authorization)
  }

/** Counts every request of every route that is registered after this: by its address before anything else, then by who asks. */
export const limitRequests = (
  app: FastifyInstance,
  { limits, origins }: { limits: RequestLimits; origins: Origins },
): void => {
  app.decorateRequest('clientAddress', {
    getter() {
      return origins.addressOf(this.raw)
    },
  })

  app.addHook('onRoute', (route) => {
    const limitClass = route.config?.limitClass ?? 'read'
    const classOf = (request: FastifyRequest): LimitClass =>
      limitClass === 'read' && wantsEventStream(request) ? 'stream' : limitClass
    const identify = route.config?.identify
    // One hook for all three: each has its price, and every request pays it.
    const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      const asked = classOf(request)
      const { authorization } = request.headers
      tellLimit(reply, asked, await limits.ofAddress(request.clientAddress, asked, authorization))
      await identify?.(request)
      const caller = countedOf(request)
      if (caller !== undefined) tellLimit(reply, asked, await limits.ofCaller(caller, asked, authorization))
    }
    route.onRequest = [admit, ...(route.onRequest === undefined ? [] : [route.onRequest].flat())]
  })
}
