import type { ClientRequest, IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream'
import { BrokenCircuitError } from 'cockatiel'
import { sendApiError } from './api-error.ts'
import type { Backend, Call } from './backend.ts'
import { isSubscription } from './config.ts'
import { lanesFor } from './credentials/choose.ts'
import { breakerSettings, type Block, type Lane } from './credentials/lane.ts'
import { limitMessage } from './credentials/limit-message.ts'
import { limitHeaders, restUntil } from './credentials/rest-until.ts'
import type { Material } from './credentials/source.ts'
import { downstreamHeaders, upstreamHeaders } from './headers.ts'
import { readRequestBody, type RequestBody } from './request-body.ts'
import type { Account, OpenCall } from './usage/account.ts'
import { exceededMessage } from './usage/budgets.ts'
import { reasonOf } from './upstream-check.ts'

const connectTimeout = 15_000

export type LiveOptions = {
  lanes: readonly Lane[]
  account: Account
  /** Whether a session works on a prompt of somebody else than its owner. */
  isGuest: (sessionId: string) => boolean
  /** Who answers where no credential serves a session; undefined: a refusal. */
  otherwise?: Pick<Backend, 'answer'>
  /** A mistake of ours. */
  onError: (error: unknown) => void
}

type Refusal = { status: number; message: string; headers?: Record<string, string> }

/** What came of asking one credential's upstream. */
type Outcome =
  | { kind: 'answered'; answer: IncomingMessage }
  /** The child has gone. */
  | { kind: 'gone' }
  /** Not asked, or not with success: another credential may be. */
  | { kind: 'refused'; refusal: Refusal }
  /** Nothing that another credential would change. */
  | { kind: 'failed'; refusal: Refusal }

/**
 * A streaming reverse proxy with several credentials, each with its own upstream. A call takes the first credential that may
 * serve its session and is not blocked; another one where that is refused before anything was sent to the child. Otherwise
 * nothing is tried twice: `claude` has its own retries. What breaks off upstream breaks off for the child too, so it never
 * takes half an answer for a whole one.
 */
export const liveBackend = ({ lanes, account, isGuest, otherwise, onError }: LiveOptions): Backend => {
  const answer = async (call: Call): Promise<void> => {
    const { request, response, identity, path } = call
    const forOwner = lanesFor(lanes, { ...identity, isGuest: false })
    if (forOwner.length === 0 && otherwise !== undefined) return otherwise.answer(call)
    const candidates = isGuest(identity.sessionId) ? lanesFor(lanes, { ...identity, isGuest: true }) : forOwner
    const body = readRequestBody(request)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const refuse = (refusal: Refusal): void => {
      if (!request.complete) response.shouldKeepAlive = false
      sendApiError(response, refusal)
      body.drop()
    }
    if (candidates.length === 0) return refuse(noCredential)

    const head = await body.head
    if (gone.signal.aborted) return body.drop()
    const free = path.startsWith('/v1/messages/count_tokens')
    const opened = free
      ? undefined
      : account.open(identity, { head, bytes: Number(request.headers['content-length'] ?? head.length) })
    // claude shows a 402 as it is and does not try again; a 400 it tries again in other forms.
    if (opened !== undefined && 'budget' in opened) return refuse({ status: 402, message: exceededMessage(opened) })

    gone.signal.addEventListener('abort', () => opened?.close(response.writableFinished))
    const last = await firstAnswer({ call, body, candidates, signal: gone.signal, opened })
    if (last !== undefined) refuse(last)
  }

  return {
    answer: (call) => {
      answer(call).catch((error: unknown) => {
        sendApiError(call.response, { status: 500, message: 'The broker failed.' })
        call.request.resume()
        onError(error)
      })
    },
    credentials: () => lanes.map((lane) => lane.status()),
  }
}

/** claude tries a 401 and a 429 again, except where it is told that this is in vain. */
const final = { 'x-should-retry': 'false' }
/** A limit that lasts longer, and a plan's limit however long, is told at once: the session can wait for it better than claude can. */
const longRestMs = 60_000
const isLong = (until: number, headers: Record<string, unknown>): boolean =>
  until - Date.now() > longRestMs || headers['anthropic-ratelimit-unified-status'] === 'rejected'

const noCredential: Refusal = {
  status: 401,
  headers: final,
  message:
    'There is no credential for the model API that may serve this session: its owner adds one (aicm credentials add), or the operator sets a shared one. A subscription serves the prompts of its owner alone.',
}

type Asked = {
  call: Call
  body: RequestBody
  signal: AbortSignal
  opened: OpenCall | undefined
  /** No other credential is left to be tried: what the upstream says is the answer. */
  last?: boolean
}

/** Asks one credential after the other until one answers. Resolves with what to tell the child where none did. */
const firstAnswer = async ({ candidates, ...asked }: Asked & { candidates: Lane[] }): Promise<Refusal | undefined> => {
  let last: Refusal = noCredential
  const now = Date.now()
  const blocks = candidates.map((lane) => lane.block(now))
  for (const [at, lane] of candidates.entries()) {
    // Part of it is gone already.
    if (!asked.body.canSend()) return last
    const blocked = blocks[at]
    if (blocked !== undefined) {
      last = blockRefusal(lane, blocked)
      continue
    }
    const leave = await lane.queue.enter(asked.call.identity.userId, asked.signal).catch(() => null)
    if (leave === null) return undefined
    if (leave === undefined) {
      last = { status: 529, message: `Too many calls wait for the model API at ${lane.host}.`, headers: soon }
      continue
    }
    asked.signal.addEventListener('abort', leave)
    const outcome = await ask(lane, { ...asked, last: !blocks.includes(undefined, at + 1) })
    if (outcome.kind === 'answered') {
      pass(lane, outcome.answer, asked)
      return undefined
    }
    leave()
    if (outcome.kind === 'gone') return undefined
    last = outcome.refusal
    if (outcome.kind === 'failed') return last
  }
  return last
}

const soon = { 'retry-after': '5' }

const blockRefusal = ({ host }: Lane, { state, until, headers }: Block): Refusal => {
  const seconds = String(Math.max(1, Math.ceil((until - Date.now()) / 1000)))
  switch (state) {
    case 'auth_required':
      return {
        status: 401,
        message: `The credential for the model API at ${host} was refused: it must be renewed.`,
        headers: final,
      }
    case 'resting':
      return {
        status: 429,
        message: limitMessage(host, until),
        headers: { ...headers, 'retry-after': seconds, ...(isLong(until, headers) ? final : {}) },
      }
    case 'failing':
      return {
        status: 529,
        message: `The model API at ${host} failed ${breakerSettings.failures} times in a row; it is left alone for a moment.`,
        headers: { 'retry-after': seconds },
      }
  }
}

/** Asks one upstream, and once more with a renewed credential where it refuses the first. */
const ask = async (lane: Lane, asked: Asked): Promise<Outcome> => {
  let material: Material
  try {
    material = await lane.source.current()
  } catch (error) {
    return authRefused(lane, error)
  }
  const first = await send(lane, material, asked)
  if (first.kind !== 'answered') return first
  if (first.answer.statusCode !== 401) return judge(lane, first.answer, asked)
  try {
    const renewed = await lane.source.refresh(material)
    if (renewed !== undefined && asked.body.canSend()) {
      first.answer.resume()
      const second = await send(lane, renewed, asked)
      if (second.kind !== 'answered' || second.answer.statusCode !== 401)
        return second.kind === 'answered' ? judge(lane, second.answer, asked) : second
      second.answer.resume()
      return authRefused(lane, undefined)
    }
    // Renewed, but too much of the request has gone to send it again: claude does that by itself.
    if (renewed !== undefined) return first
  } catch (error) {
    first.answer.resume()
    return authRefused(lane, error)
  }
  first.answer.resume()
  return authRefused(lane, undefined)
}

const authRefused = (lane: Lane, error: unknown): Outcome => {
  lane.authFailed()
  const why = error instanceof Error ? ` (${reasonOf(error)})` : ''
  const what = isSubscription(lane.credential) ? 'token' : 'credential'
  return {
    kind: 'refused',
    refusal: {
      status: 401,
      message: `The ${what} for the model API at ${lane.host} was refused${why}: it must be renewed.`,
      headers: final,
    },
  }
}

/** A refusal for limits lets the credential rest; another one may take the call. */
const judge = (lane: Lane, answer: IncomingMessage, { body, last }: Asked): Outcome => {
  const { statusCode = 502, headers } = answer
  const until = restUntil(statusCode, headers, Date.now())
  if (until === undefined) {
    if (statusCode < 400) lane.succeeded()
    return { kind: 'answered', answer }
  }
  lane.rest(until, limitHeaders(headers))
  if ((last && !isLong(until, headers)) || !body.canSend()) return { kind: 'answered', answer }
  answer.resume()
  const blocked = lane.block(Date.now())
  return {
    kind: 'refused',
    refusal:
      blocked === undefined ? { status: statusCode, message: 'Too many requests.' } : blockRefusal(lane, blocked),
  }
}

/** Resolves when the upstream has answered, or nobody waits for that any more. */
const send = async (lane: Lane, material: Material, { call, body, signal }: Asked): Promise<Outcome> => {
  const { request, path } = call
  const asking = (): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const sent = lane.send(lane.credential.upstream + path, {
        agent: lane.agent,
        method: request.method,
        headers: upstreamHeaders(request.headers, material),
      })
      limitConnecting(sent, lane.secure)
      let answered = false
      sent.on('response', (answer) => {
        answered = true
        if ((answer.statusCode ?? 502) >= 500) reject(new ServerError(answer))
        else resolve({ kind: 'answered', answer })
      })
      sent.on('error', (error) => {
        if (!answered) reject(error)
      })
      signal.addEventListener(
        'abort',
        () => {
          // Resolved first: that a child goes away is no failure of the upstream.
          resolve({ kind: 'gone' })
          if (!call.response.writableFinished) sent.destroy()
        },
        { once: true },
      )
      // Not pipeline: that would destroy the child's connection together with a failed upstream one, and no error could be sent.
      body.send(sent)
    })
  try {
    return await lane.circuit.execute(asking)
  } catch (error) {
    if (error instanceof ServerError) return { kind: 'answered', answer: error.answer }
    if (error instanceof BrokenCircuitError)
      return {
        kind: 'refused',
        refusal: blockRefusal(lane, { state: 'failing', until: Date.now() + breakerSettings.openMs, headers: {} }),
      }
    const why = error instanceof Error ? reasonOf(error) : String(error)
    return {
      kind: 'failed',
      refusal: { status: 502, message: `The model API at ${lane.host} cannot be reached: ${why}` },
    }
  }
}

/** Counts as a failure for the breaker, and is passed on all the same. */
class ServerError extends Error {
  readonly answer: IncomingMessage
  constructor(answer: IncomingMessage) {
    super(`status ${answer.statusCode}`)
    this.answer = answer
  }
}

/** The answer goes to the child as it comes, and is counted as it passes. */
const pass = (lane: Lane, answer: IncomingMessage, { call, body, opened }: Asked): void => {
  const { response } = call
  const { statusCode = 502 } = answer
  body.settle()
  response.writeHead(statusCode, answer.statusMessage, downstreamHeaders(answer))
  // The first token may be seconds away; that the API has accepted the request is worth knowing now.
  response.flushHeaders()
  opened?.answered(answer, lane.credential.id)
  // Refused before it had read everything: the rest of the body goes nowhere, or the connection could not be used again.
  pipeline(answer, response, () => body.drop())
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
