import type { Input, Output, Route } from '@aicm/protocol'
import { AicmError } from './aicm-error.ts'
import { isRecord, readJson } from './read-json.ts'
import type { TokenSource } from './tokens.ts'

export type CallOptions = { signal?: AbortSignal }

/** One request of the HTTP API, typed by its route: `call(routes.sessions.get, { params: { id } })`. */
export type Call = <R extends Route>(route: R, input: Input<R>, options?: CallOptions) => Promise<Output<R>>

type CallContext = {
  base: URL
  tokens: TokenSource
  fetch: typeof globalThis.fetch
}

export const createCall =
  ({ base, tokens, fetch }: CallContext): Call =>
  async (route, input, options) => {
    const url = requestUrl(base, route, input)
    const body = part(input, 'body')
    const ask = async (token: string | undefined): Promise<{ response: Response; text: string }> => {
      const response = await send(fetch, url, {
        method: route.method,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(options?.signal === undefined ? {} : { signal: options.signal }),
      })
      const text = await response.text().catch((cause: unknown) => {
        options?.signal?.throwIfAborted()
        throw unreachable(base, cause)
      })
      return { response, text }
    }
    const token = route.auth === 'none' ? undefined : await tokens.get()
    let answer = await ask(token)
    if (token !== undefined && answer.response.status === 401) {
      const refused = refusal(base, answer.response, answer.text)
      const next = refused.code === 'unauthorized' ? await tokens.renew(token) : undefined
      if (next === undefined) throw refused
      answer = await ask(next)
    }
    const { response, text } = answer
    if (!response.ok) throw refusal(base, response, text)
    // The one place where the server's word about its answers is taken: the routes are shared, the version is checked.
    if (route.response === undefined) return undefined as Output<typeof route>
    try {
      return JSON.parse(text)
    } catch {
      throw unexpected(base, response)
    }
  }

const part = (input: unknown, name: 'params' | 'query' | 'body'): unknown => (isRecord(input) ? input[name] : undefined)

const requestUrl = (base: URL, route: Route, input: unknown): URL => {
  const params = part(input, 'params')
  const path = route.path.replace(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(String(isRecord(params) ? params[name] : '')),
  )
  const url = new URL(path.slice(1), base)
  const query = part(input, 'query')
  for (const [name, value] of Object.entries(isRecord(query) ? query : {}))
    if (value !== undefined) url.searchParams.set(name, String(value))
  return url
}

const send = async (fetch: typeof globalThis.fetch, url: URL, init: RequestInit): Promise<Response> => {
  try {
    return await fetch(url, init)
  } catch (cause) {
    init.signal?.throwIfAborted()
    throw unreachable(url, cause)
  }
}

const unreachable = (url: URL, cause: unknown): AicmError => {
  const reason = systemCode(cause)
  if (reason !== undefined && /CERT|SIGNATURE|ALTNAME/.test(reason))
    return new AicmError({
      code: 'untrusted_certificate',
      message: `The certificate of the server at ${url.origin} is not trusted (${reason}).`,
      hint: 'Name the authority that signed it with NODE_EXTRA_CA_CERTS.',
      cause,
    })
  return new AicmError({
    code: 'unreachable',
    message: `Cannot reach the server at ${url.origin}${reason === undefined ? '' : ` (${reason})`}.`,
    hint: 'Start it with "aicm up", or check its address.',
    cause,
  })
}

/** ECONNREFUSED and the like: Node puts it into the cause of fetch's "fetch failed". */
const systemCode = (error: unknown): string | undefined => {
  const cause = error instanceof Error ? error.cause : undefined
  return isRecord(cause) || cause instanceof Error
    ? 'code' in cause && typeof cause.code === 'string'
      ? cause.code
      : undefined
    : undefined
}

const refusal = (base: URL, response: Response, text: string): AicmError => {
  const body = readJson(text)
  const error = isRecord(body) && isRecord(body.error) ? body.error : undefined
  if (error === undefined || typeof error.code !== 'string' || typeof error.message !== 'string')
    return unexpected(base, response)
  return new AicmError({
    code: error.code,
    message: error.message,
    status: response.status,
    ...(typeof error.hint === 'string' ? { hint: error.hint } : {}),
    ...(typeof error.requestId === 'string' ? { requestId: error.requestId } : {}),
    ...retryAfter(response),
  })
}

const unexpected = (base: URL, response: Response): AicmError =>
  new AicmError({
    code: 'unexpected_answer',
    message: `${base.origin} answered ${response.status} ${response.statusText}, but not as this server does.`.replace(
      '  ',
      ' ',
    ),
    hint: 'Check the address, and any proxy in between.',
    status: response.status,
    ...retryAfter(response),
  })

const retryAfter = (response: Response): { retryAfter?: number } => {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? { retryAfter: seconds } : {}
}
