import { Agent as HttpAgent, request as httpRequest, type ClientRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream'
import { sendApiError } from './api-error.ts'
import type { Backend } from './backend.ts'
import type { Credential } from './config.ts'
import { downstreamHeaders, upstreamHeaders } from './headers.ts'
import { reasonOf } from './upstream-check.ts'

const connectTimeout = 15_000
/** Idle connections are dropped before the other side's usual limit, so that no request is written into a closing one. */
const agentOptions = { keepAlive: true, timeout: 30_000, scheduling: 'lifo' } as const

/**
 * A streaming reverse proxy to one upstream with one credential. Nothing is buffered and nothing is tried twice: `claude`
 * has its own retries. What breaks off upstream breaks off for the child too, so it never takes half an answer for a whole one.
 */
export const liveBackend = ({ upstream, credential }: { upstream: string; credential: Credential }): Backend => {
  const secure = new URL(upstream).protocol === 'https:'
  const send = secure ? httpsRequest : httpRequest
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)

  return {
    mode: 'live',
    upstream,
    credential: credential.kind,
    answer: (request, response, path) => {
      let answered = false
      const sent = send(upstream + path, {
        agent,
        method: request.method,
        headers: upstreamHeaders(request.headers, credential),
      })
      limitConnecting(sent, secure)

      sent.on('response', (answer) => {
        answered = true
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, downstreamHeaders(answer))
        // The first token may be seconds away; that the API has accepted the request is worth knowing now.
        response.flushHeaders()
        pipeline(answer, response, () => {
          // Refused before it had read everything: the rest of the body goes nowhere, or the connection could not be used again.
          if (!request.complete) request.unpipe(sent).resume()
        })
      })
      sent.on('error', (error) => {
        if (answered) return
        request.unpipe(sent).resume()
        sendApiError(response, {
          status: 502,
          message: `The model API at ${new URL(upstream).host} cannot be reached: ${reasonOf(error)}`,
        })
      })
      response.once('close', () => {
        if (!response.writableFinished) sent.destroy()
      })
      // Not pipeline: that would destroy the child's connection together with a failed upstream one, and no error could be sent.
      request.pipe(sent)
    },
  }
}

const limitConnecting = (sent: ClientRequest, secure: boolean): void => {
  sent.once('socket', (socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(
      () => sent.destroy(new Error(`no connection within ${connectTimeout / 1000} seconds`)),
      connectTimeout,
    )
    const stop = () => clearTimeout(timer)
    socket.once(secure ? 'secureConnect' : 'connect', stop)
    socket.once('close', stop)
  })
}
