import type { Input, Output, Route } from '@aicm/protocol'
import { AicmError } from './aicm-error.ts'
import { isRecord, readJson } from './read-json.ts'
import type { TokenSource } from './tokens.ts'

export type CallOptions = { signal?: AbortSignal }

/** What is sent as a file. A stream is read once: it is not sent again when the token has expired meanwhile. */
export type FileContent = Blob | Uint8Array<ArrayBuffer> | string | ReadableStream<Uint8Array>

/** An operation whose body or answer is not JSON. Resolves with the answer unless it is a refusal. */
export type Ask = <R extends Route>(
  route: R,
  input: Input<R>,
  options?: CallOptions & { headers?: Record<string, string>; content?: FileContent },
) => Promise<Response>

/** One request of the HTTP API, typed by its route: `call(routes.sessions.get, { params: { id } })`. */
export type Call = <R extends Route>(route: R, input: Input<R>, options?: CallOptions) => Promise<Output<R>>

type CallContext = {
  base: URL
  tokens: TokenSource
  fetch: typeof globalThis.fetch
}

export const createAsk =
  ({ base, tokens, fetch }: CallContext): Ask =>
  async (route, input, options) => {
    const url = requestUrl(base, route, input)
    const json = part(input, 'body')
    const content = options?.content
    const once = content instanceof ReadableStream
    const ask = (token: string | undefined): Promise<Response> =>
      send(fetch, url, {
        method: route.method,
        headers: {
          accept: 'application/json',
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(content === undefined ? {} : { 'content-type': 'application/octet-stream' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...options?.headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(content === undefined ? {} : { body: content }),
        ...(once && { duplex: 'half' }),
        ...(options?.signal === undefined ? {} : { signal: options.signal }),
      })
    const token = route.auth === 'none' ? undefined : await tokens.get()
    let response = await ask(token)
    if (token !== undefined && response.status === 401) {
      const refused = refusal(base, response, await textOf(base, response, options))
      const next = refused.code === 'unauthorized' ? await tokens.renew(token) : undefined
      if (next === undefined || once) throw refused
      response = await ask(next)
    }
    if (!response.ok) throw refusal(base, response, await textOf(base, response, options))
    return response
  }

const textOf = (base: URL, response: Response, options?: CallOptions): Promise<string> =>
  response.text().catch((cause: unknown) => {
    options?.signal?.throwIfAborted()
    throw unreachable(base, cause)
  })

export const createCall = (context: CallContext): Call => {
  const { base } = context
  const ask = createAsk(context)
  return async (route, input, options) => {
    const response = await ask(route, input, options)
    const text = await textOf(base, response, options)
    // The one place where the server's word about its answers is taken: the routes are shared, the version is checked.
    if (route.response === undefined) return undefined as Output<typeof route>
    try {
      return JSON.parse(text)
    } catch {
      throw unexpected(base, response)
    }
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
