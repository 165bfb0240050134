import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { sendApiError } from '../api-error.ts'
import { readConversation, type Conversation, type ToolResult } from './conversation.ts'
import { BadDirective, directedReply, parseDirectives, type Misfire } from './directives.ts'
import { countTokens, newId } from './envelope.ts'
import { peopleReply } from './people.ts'
import { afterText, type Reply } from './reply.ts'
import { sideReply } from './side-calls.ts'
import { streamReply } from './stream-reply.ts'
import { wholeReply } from './whole-reply.ts'

export type ScriptedApiOptions = {
  /** How fast answers to plain prompts come: tokens a second (60), or 'instant'. Directives have their own pace. */
  pace?: number | 'instant'
  /** Whether `calls` grows (true). */
  record?: boolean
}

/** One call, as it was when its body had arrived. */
export type Call = {
  /** Milliseconds since 1970. */
  time: number
  method: string
  path: string
  headers: { apiKey: string | null; authorization: string | null; beta: string | null; cliSession: string | null }
  model: string
  stream: boolean
  lastUserText: string
  /** Results of the tool calls since that text. */
  toolResults: ToolResult[]
  hasSystemPrompt: boolean
  systemPrompt: string
  tools: string[]
}

export type ScriptedApi = {
  handler: RequestListener
  /** Oldest first; empty it by `calls.length = 0`. */
  calls: Call[]
  /** Serves it on 127.0.0.1 (any free port) or on a unix socket. `close` breaks off what is still open. */
  listen: (
    where?: { port?: number } | { path: string },
  ) => Promise<{ url: string; close: () => Promise<void> } & AsyncDisposable>
}

/** The API refuses more than this too. */
const maxBody = 32 * 1024 * 1024
/** A long-lived demo forgets what misfired longest ago. */
const rememberedMisfires = 10_000

/**
 * A Messages API that follows a script instead of asking a model. A plain prompt gets a friendly answer that says what it
 * is; directives (see `directives.ts`) get exactly what they ask for. Knows /v1/messages and /v1/messages/count_tokens.
 */
export const scriptedApi = ({ pace = 60, record = true }: ScriptedApiOptions = {}): ScriptedApi => {
  const calls: Call[] = []
  const misfires = new Map<string, number>()

  const misfire = (key: string, times: number): boolean => {
    const before = misfires.get(key) ?? 0
    misfires.delete(key)
    misfires.set(key, before + 1)
    const oldest = misfires.keys().next()
    if (misfires.size > rememberedMisfires && oldest.done !== true) misfires.delete(oldest.value)
    return before < times
  }

  const decide = (conversation: Conversation, cliSession: string): Reply => {
    const side = sideReply(conversation)
    if (side !== null) return side
    const directives = parseDirectives(conversation.prompt)
    if (directives.length === 0) {
      return peopleReply(conversation, pace === 'instant' ? null : { delayMs: 1000 / pace, size: 1 })
    }
    const fails: Misfire = (index, times) => misfire(`${cliSession}\n${index}\n${conversation.prompt}`, times)
    return directedReply(directives, { answered: conversation.answered, cwd: conversation.cwd, misfire: fails })
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').replace(/\?.*$/, '')
    response.setHeader('request-id', newId('req'))
    if ((request.method === 'HEAD' || request.method === 'GET') && (path === '/' || path === '/api/hello')) {
      response.writeHead(200).end()
      return
    }
    if (request.method !== 'POST' || (path !== '/v1/messages' && path !== '/v1/messages/count_tokens')) {
      request.resume()
      return sendApiError(response, { status: 404, message: 'Not found' })
    }
    const text = await readBody(request)
    if (text === null) return sendApiError(response, { status: 413, message: 'Request exceeds the maximum size' })
    const conversation = parse(text)
    if (typeof conversation === 'string') return sendApiError(response, { status: 400, message: conversation })
    if (record) calls.push(callOf(request, conversation))
    if (path === '/v1/messages/count_tokens') {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ input_tokens: countTokens(text) }))
      return
    }
    const reply = afterText(
      decide(conversation, headerOf(request, 'x-claude-code-session-id') ?? ''),
      conversation.said,
    )
    const envelope = {
      id: newId('msg'),
      model: conversation.model,
      inputTokens: countTokens(text),
      maxTokens: conversation.maxTokens,
    }
    const first = reply[0]
    if (first?.kind === 'error') return sendApiError(response, first)
    if (conversation.stream) return streamReply(response, { reply, envelope, signal: closedSignal(response) })

    const failure = reply.find(
      ({ kind }) => kind === 'hang' || kind === 'reset' || kind === 'malformed' || kind === 'error',
    )
    if (failure?.kind === 'error') return sendApiError(response, failure)
    if (failure?.kind === 'hang') return
    if (failure?.kind === 'reset') return void response.destroy()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(failure?.kind === 'malformed' ? '{"type":"message",' : JSON.stringify(wholeReply(reply, envelope)))
  }

  const handler: RequestListener = (request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (error instanceof BadDirective) return sendApiError(response, { status: 400, message: error.message })
      if (response.destroyed) return
      sendApiError(response, { status: 500, message: error instanceof Error ? error.message : 'internal error' })
    })
  }

  const listen: ScriptedApi['listen'] = async (where = {}) => {
    const server = createServer(handler)
    if ('path' in where) server.listen(where.path)
    else server.listen(where.port ?? 0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const url =
      typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : 'http://localhost'
    const close = () =>
      new Promise<void>((done) => {
        server.close(() => done())
        server.closeAllConnections()
      })
    return { url, close, [Symbol.asyncDispose]: close }
  }

  return { handler, calls, listen }
}

const parse = (text: string): Conversation | string => {
  try {
    return readConversation(JSON.parse(text))
  } catch (error) {
    return error instanceof TypeError ? error.message : 'The request body is not valid JSON'
  }
}

const readBody = async (request: IncomingMessage): Promise<string | null> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size <= maxBody) chunks.push(chunk)
  }
  return size > maxBody ? null : Buffer.concat(chunks).toString('utf8')
}

const closedSignal = (response: ServerResponse): AbortSignal => {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  return controller.signal
}

const headerOf = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : null
}

const callOf = (request: IncomingMessage, conversation: Conversation): Call => ({
  time: Date.now(),
  method: request.method ?? '',
  path: request.url ?? '',
  headers: {
    apiKey: headerOf(request, 'x-api-key'),
    authorization: headerOf(request, 'authorization'),
    beta: headerOf(request, 'anthropic-beta'),
    cliSession: headerOf(request, 'x-claude-code-session-id'),
  },
  model: conversation.model,
  stream: conversation.stream,
  lastUserText: conversation.prompt,
  toolResults: conversation.calls.flatMap(({ result }) => result ?? []),
  hasSystemPrompt: conversation.system !== '',
  systemPrompt: conversation.system,
  tools: conversation.tools,
})
