import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream'
import { BrokenCircuitError, circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel'
import { sendApiError } from './api-error.ts'
import { breakerNames, type Backend } from './backend.ts'
import type { Credential } from './config.ts'
import { downstreamHeaders, upstreamHeaders } from './headers.ts'
import { reasonOf } from './upstream-check.ts'

const connectTimeout = 15_000
/** Failures in a row, after which the upstream is left alone, and for how long. */
const breaker = { failures: 10, openMs: 10_000 }
/** Idle connections are dropped before the other side's usual limit, so that no request is written into a closing one. */
const agentOptions = { keepAlive: true, timeout: 30_000, scheduling: 'lifo' } as const

/**
 * A streaming reverse proxy to one upstream with one credential. Nothing is buffered and nothing is tried twice: `claude`
 * has its own retries. An upstream that fails again and again, for whatever sessions, is left alone for a while: they would keep
 * it down, and are told at once. What breaks off upstream breaks off for the child too, so it never takes half an answer for a whole one.
 */
export const liveBackend = ({ upstream, credential }: { upstream: string; credential: Credential }): Backend => {
  const { host, protocol } = new URL(upstream)
  const secure = protocol === 'https:'
  const send = secure ? httpsRequest : httpRequest
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
  const circuit = circuitBreaker(handleAll, {
    halfOpenAfter: breaker.openMs,
    breaker: new ConsecutiveBreaker(breaker.failures),
  })

  /** Resolves when the upstream has answered, or nobody waits for that any more; rejects when it failed. */
  const forward: Forward = (request, response, path) =>
    new Promise((resolve, reject) => {
      let answered = false
      const sent = send(upstream + path, {
        agent,
        method: request.method,
        headers: upstreamHeaders(request.headers, credential),
      })
      limitConnecting(sent, secure)

      sent.on('response', (answer) => {
        answered = true
        const { statusCode = 502 } = answer
        if (statusCode >= 500) reject(new Error(`status ${statusCode}`))
        else resolve()
        response.writeHead(statusCode, answer.statusMessage, downstreamHeaders(answer))
        // The first token may be seconds away; that the API has accepted the request is worth knowing now.
        response.flushHeaders()
        pipeline(answer, response, () => {
          // Refused before it had read everything: the rest of the body goes nowhere, or the connection could not be used again.
          if (!request.complete) request.unpipe(sent).resume()
        })
      })
      sent.on('error', (error) => {
        if (answered) return
        if (!response.destroyed) reject(error)
        request.unpipe(sent).resume()
        sendApiError(response, {
          status: 502,
          message: `The model API at ${host} cannot be reached: ${reasonOf(error)}`,
        })
      })
      response.once('close', () => {
        if (!response.writableFinished) sent.destroy()
        resolve()
      })
      // Not pipeline: that would destroy the child's connection together with a failed upstream one, and no error could be sent.
      request.pipe(sent)
    })

  return {
    mode: 'live',
    upstream,
    credential: credential.kind,
    breaker: () => breakerNames[circuit.state],
    answer: (request, response, path) => {
      circuit
        .execute(() => forward(request, response, path))
        .catch((error: unknown) => {
          if (!(error instanceof BrokenCircuitError)) return
          request.resume()
          sendApiError(response, {
            status: 529,
            message: `The model API at ${host} failed ${breaker.failures} times in a row; it is left alone for a moment.`,
            headers: { 'retry-after': String(breaker.openMs / 1000) },
          })
        })
    },
  }
}

type Forward = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>

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
