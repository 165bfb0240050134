import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { sendApiError } from './api-error.ts'
import type { Backend } from './backend.ts'
import type { Log } from './log.ts'
import { verifySessionToken, type SessionIdentity } from './token.ts'

export type ApiOptions = {
  key: Buffer
  /** Whether a session's token has been given, and not been revoked. */
  isGood: (sessionId: string) => boolean
  /** null until the broker has been configured. */
  backend: () => Backend | null
  stopping: () => boolean
  /** Called for each request that is taken. */
  onAnswer: (sessionId: string, response: ServerResponse) => void
  log: Log
}

/**
 * Compared as they are written: nothing that somebody behind us could read as another path. Batches are not among them: what
 * they cost is known long after they were sent.
 */
const forwarded = ['/v1/messages', '/v1/messages/count_tokens']

/** `claude` looks whether somebody is there (HEAD / or /api/hello). That is answered here, the upstream is not asked. */
const greetings = ['/', '/api/hello']

/** What the children may reach. Every refusal has the Messages API's own form. */
export const apiHandler =
  ({ key, isGood, backend, stopping, onAnswer, log }: ApiOptions): RequestListener =>
  (request, response) => {
    const { url = '', method = '' } = request
    const started = performance.now()
    const [path = '', query] = splitUrl(url)
    const identity = identify(request, key)
    response.once('close', () =>
      log.write('request', {
        sessionId: identity?.sessionId ?? null,
        method,
        path: path.slice(0, 100),
        status: response.headersSent ? response.statusCode : null,
        end: response.writableFinished ? 'complete' : 'cut',
        ms: Math.round(performance.now() - started),
      }),
    )
    const refuse = (status: number, message: string, headers?: Record<string, string>) => {
      // The rest of a refused body is not worth reading.
      if (!request.complete) response.shouldKeepAlive = false
      sendApiError(response, { status, message, headers })
      request.resume()
    }

    if ((method === 'HEAD' || method === 'GET') && greetings.includes(path)) {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(method === 'GET' ? '{"message":"hello"}' : undefined)
      return
    }
    if (identity === null) return refuse(401, 'This broker wants the token of a session.')
    if (!isGood(identity.sessionId)) return refuse(401, 'This session has ended, and its token with it.', final)
    if (!url.startsWith('/')) return refuse(400, 'Only paths are taken, not whole addresses.')
    if (!forwarded.includes(path))
      return refuse(404, 'This broker forwards /v1/messages and /v1/messages/count_tokens only.')
    if (method !== 'POST') return refuse(405, 'Only POST is forwarded.', { allow: 'POST' })
    if (stopping()) return refuse(503, 'The broker is restarting.', { 'retry-after': '1', connection: 'close' })
    const chosen = backend()
    if (chosen === null) return refuse(503, 'The broker has not been configured yet.', { 'retry-after': '1' })
    onAnswer(identity.sessionId, response)
    chosen.answer({ request, response, identity, path: query === undefined ? path : `${path}?${query}` })
  }

/** claude would try again. */
const final = { 'x-should-retry': 'false' }

const splitUrl = (url: string): [string, string?] => {
  const at = url.indexOf('?')
  return at === -1 ? [url] : [url.slice(0, at), url.slice(at + 1)]
}

const identify = ({ headers }: IncomingMessage, key: Buffer): SessionIdentity | null => {
  const apiKey = headers['x-api-key']
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  return (
    [apiKey, bearer]
      .flatMap((token) => (typeof token === 'string' ? (verifySessionToken(key, token) ?? []) : []))
      .at(0) ?? null
  )
}
