import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, toAppError } from '../../lib/app-error.ts'
import type { Log } from '../../lib/log.ts'

export const bytesOnly = (): AppError =>
  new AppError('unsupported_media_type', 'The body must be the bytes of the file.', {
    hint: 'Use Content-Type: application/octet-stream.',
  })

const known: Record<string, (request: FastifyRequest) => AppError> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ({ routeOptions }) =>
    routeOptions.config.takesBytes === true
      ? bytesOnly()
      : new AppError('unsupported_media_type', 'The body must be JSON.'),
  FST_ERR_CTP_BODY_TOO_LARGE: () => new AppError('payload_too_large', 'The body is too large.'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new AppError('invalid_json', 'The body is not JSON.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new AppError('invalid_request', 'The body is not as long as Content-Length says.'),
}

const refusal = (error: FastifyError, request: FastifyRequest): AppError => {
  const named = known[error.code]?.(request)
  if (named !== undefined) return named
  if (error instanceof AppError) return error
  if (error instanceof SyntaxError) return new AppError('invalid_json', 'The body is not JSON.', { cause: error })
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return new AppError('invalid_request', 'The request could not be read.', { cause: error })
  return toAppError(error)
}

/** Every error of a route leaves by here: one form, one table of codes, the cause in the log only. Returns what it said. */
export const createReplyError =
  (log: Log, onRefused: (error: AppError, request: FastifyRequest) => void) =>
  (error: FastifyError, request: FastifyRequest, reply: FastifyReply): AppError => {
    const refused = refusal(error, request)
    onRefused(refused, request)
    if (refused.status >= 500)
      log.error({ err: refused, cause: refused.cause, requestId: request.id }, 'request failed')
    reply.headers(refused.headers)
    if (refused.retryAfter !== undefined) reply.header('retry-after', String(refused.retryAfter))
    if (refused.status === 401) reply.header('www-authenticate', 'Bearer')
    if (refused.code === 'payload_too_large') {
      // Closing now would reset the connection under what the client still sends, and it would never read why.
      reply.removeHeader('connection')
      request.raw.resume()
    }
    void reply.code(refused.status).send(refused.toBody(request.id))
    return refused
  }
