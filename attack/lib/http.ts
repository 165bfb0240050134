import { request, type Agent, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { notBuilt } from './row.ts'

export type Answer = {
  status: number
  headers: IncomingHttpHeaders
  text: string
  body: unknown
  /** Status and code: `401 unauthorized`. */
  seen: string
}

export type Ask = {
  method?: string
  token?: string | undefined
  headers?: Record<string, string | string[]>
  /** Sent as it is when it is text or bytes, else as JSON. */
  body?: unknown
  /** The address it comes from; one of its own for each request when absent. */
  from?: string
  /** Where many are sent, over its connections, all from `from`. */
  agent?: Agent
}

const patienceMs = 60_000
let asked = 0

/**
 * An address of this machine that nobody has used before: what one attempt did to the standing of its address shall not
 * decide the next one.
 */
export const freshAddress = (): string => {
  asked += 1
  return `127.${1 + ((asked >> 14) & 127)}.${(asked >> 7) & 127}.${1 + (asked & 127)}`
}

export const codeOf = (body: unknown): string | undefined => {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined
}

export const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** An answer that was given before all was sent may be lost with its connection, which what is still being sent resets. */
const tries = 3
const isReset = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ECONNRESET')

/** One request as it is: any header, any path, a connection of its own unless there is an agent. */
export const send = async (url: string, path: string, ask: Ask = {}): Promise<Answer> => {
  for (let left = ask.body === undefined ? 0 : tries - 1; ; left--)
    try {
      return await sendOnce(url, path, ask)
    } catch (error) {
      if (left <= 0 || !isReset(error)) throw error
    }
}

const sendOnce = (url: string, path: string, ask: Ask): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const raw = typeof ask.body === 'string' || ask.body instanceof Uint8Array
    const body = ask.body === undefined ? undefined : raw ? (ask.body as string) : JSON.stringify(ask.body)
    const sent = request({
      ...{ hostname, port, path, method: ask.method ?? 'GET', agent: ask.agent ?? false },
      localAddress: ask.from ?? freshAddress(),
      signal: AbortSignal.timeout(patienceMs),
      headers: {
        ...(ask.token === undefined ? {} : { authorization: `Bearer ${ask.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...ask.headers,
      },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      text(response).then((answer) => {
        const body = parsed(answer)
        const status = response.statusCode ?? 0
        const seen = [status, codeOf(body)].filter((part) => part !== undefined).join(' ')
        resolve({ status, headers: response.headers, text: answer, body, seen })
      }, reject)
    })
    sent.end(body)
  })

/** What was seen, where the answer to a route that does not exist says that the feature is not there. */
export const seenOfFeature = ({ status, seen, body }: Answer): string =>
  (status === 404 && codeOf(body) === 'not_found') || status === 405 ? notBuilt : seen

/** What is seen of a connection that the server should have closed. */
export const stillOpen = 'still open'

/** Whatever the bytes are; gives all that is answered until the server closes. */
export const sendBytes = (url: string, ...pieces: (string | Uint8Array)[]): Promise<string> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: freshAddress() })
  socket.on('error', () => undefined)
  socket.setTimeout(patienceMs, () => socket.destroy(new Error(stillOpen)))
  for (const piece of pieces) socket.write(piece)
  return text(socket).catch((error: unknown) => String(error))
}

/** Status and code of an answer that was read as bytes. */
export const seenOfBytes = (answer: string): string => {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]
  if (answer.endsWith(stillOpen)) return stillOpen
  if (status === undefined) return answer === '' ? 'closed' : `closed after ${JSON.stringify(answer.slice(0, 60))}`
  return [status, codeOf(parsed(answer.slice(answer.indexOf('\r\n\r\n') + 4)))].filter(Boolean).join(' ')
}
