import {
  parseCursor,
  routes,
  type Approval,
  type CreateSession,
  type Decision,
  type Health,
  type HealthStatus,
  type Input,
  type Output,
  type Session,
  type User,
  type Workspace,
} from '@aicm/protocol'
import { AicmError } from './aicm-error.ts'
import { createAsk, createCall, type Call } from './call.ts'
import { createConnection, type ConnectionStatus } from './connection.ts'
import { createFiles, type Files } from './files.ts'
import { createHub, type Hub } from './hub.ts'
import { baseUrl, defaultQueueLimits, defaultTiming, type ClientOptions } from './options.ts'
import { runOnce, type RunOptions, type RunResult } from './run-once.ts'
import { createSessionHandle, type SessionHandle } from './session.ts'
import { fixedToken, memoryTokens, refreshedTokens, type TokenSource } from './tokens.ts'

type SessionRoutes = typeof routes.sessions

export type Client = AsyncDisposable & {
  /** Any operation of the HTTP API, typed by its route. */
  call: Call
  sessions: {
    create(options?: CreateSession): Promise<Session>
    list(filter?: Input<SessionRoutes['list']>['query']): Promise<Output<SessionRoutes['list']>>
    get(id: string): Promise<Session>
    update(id: string, changes: Input<SessionRoutes['update']>['body']): Promise<Session>
    delete(id: string): Promise<void>
  }
  /** A handle on a session, without asking the server. */
  session(id: string): SessionHandle
  workspaces: {
    create(options: Input<typeof routes.workspaces.create>['body']): Promise<Workspace>
    list(): Promise<Workspace[]>
    get(id: string): Promise<Workspace>
    delete(id: string): Promise<void>
  }
  files: Files
  approvals: {
    /** The open ones, of all sessions or of one. */
    list(filter?: { sessionId?: string }): Promise<Approval[]>
    answer(id: string, decision: Decision): Promise<Approval>
  }
  health(): Promise<Health>
  /**
   * Calls `handler` when the server says that something has broken or works again; returns the way to stop it. The server says
   * so over the connection that streams use: it opens none.
   */
  onHealth(handler: (health: HealthStatus) => void): () => void
  me(): Promise<User>
  /** Ends the login: its tokens are refused from now on, everywhere. */
  logout(): Promise<void>
  /** One prompt in a session of its own, which is closed afterwards. */
  run(prompt: string, options?: RunOptions): Promise<RunResult>
  /** The one WebSocket, for a "reconnecting" light. */
  connection: ConnectionStatus
  /** Ends every reader and closes the connection. The client can not be used for streams afterwards. */
  close(): void
}

export const createClient = (options: ClientOptions): Client => {
  const base = baseUrl(options.url)
  const timing = { ...defaultTiming, ...options.timing }
  const context = {
    base,
    tokens: tokenSource(options, () => call),
    // Called as a plain function: a browser's fetch insists on being the window's.
    fetch: options.fetch ?? ((input: RequestInfo | URL, init?: RequestInit) => globalThis.fetch(input, init)),
  }
  const call: Call = createCall(context)

  const healthHandlers = new Set<(health: HealthStatus) => void>()
  const connection = createConnection({
    ticket: async (signal) => (await call(routes.auth.ticket, {}, { signal })).ticket,
    socketUrl: (ticket) => socketUrl(base, ticket),
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    timing,
    onOpen: () => hub.onOpen(),
    onMessage: (message, bytes) => {
      if (message.type === 'health') for (const handler of [...healthHandlers]) handler(message)
      if (message.type === 'behind')
        options.onBehind?.({ sessionId: message.sessionId, cursor: parseCursor(message.cursor) ?? { seq: 0 } })
      hub.onMessage(message, bytes)
    },
    onTooBig: () => hub.onTooBig(),
    onFatal: (error) => hub.fail(error),
  })
  const hub: Hub = createHub({
    connection,
    timing,
    queueLimits: options.queueLimits ?? defaultQueueLimits,
    slow: options.slow,
  })

  const session = (id: string) => createSessionHandle({ call, hub, timing }, id)
  const sessions: Client['sessions'] = {
    create: (body = {}) => call(routes.sessions.create, { body }),
    list: (query = {}) => call(routes.sessions.list, { query }),
    get: (id) => call(routes.sessions.get, { params: { id } }),
    update: (id, body) => call(routes.sessions.update, { params: { id }, body }),
    delete: (id) => call(routes.sessions.delete, { params: { id } }),
  }
  const close = () => hub.close(closedError())

  return {
    call,
    sessions,
    session,
    workspaces: {
      create: (body) => call(routes.workspaces.create, { body }),
      list: async () => (await call(routes.workspaces.list, {})).workspaces,
      get: (id) => call(routes.workspaces.get, { params: { id } }),
      delete: (id) => call(routes.workspaces.delete, { params: { id } }),
    },
    files: createFiles(call, createAsk(context)),
    approvals: {
      list: async (query = {}) => (await call(routes.approvals.list, { query })).approvals,
      answer: (id, body) => call(routes.approvals.answer, { params: { id }, body }),
    },
    health: () => call(routes.health.health, {}),
    onHealth: (handler) => {
      healthHandlers.add(handler)
      return () => void healthHandlers.delete(handler)
    },
    me: () => call(routes.auth.me, {}),
    logout: async () => {
      await call(routes.auth.logout, {})
      const { tokens } = options
      if (tokens !== undefined && 'write' in tokens) await tokens.exclusively(async () => tokens.write(undefined))
    },
    run: (prompt, runOptions) => runOnce({ sessions, session }, prompt, runOptions),
    connection: { state: connection.state, onChange: connection.onChange },
    close,
    [Symbol.asyncDispose]: async () => close(),
  }
}

const tokenSource = ({ tokens, getToken, token }: ClientOptions, call: () => Call): TokenSource =>
  tokens === undefined
    ? fixedToken(getToken ?? (() => token))
    : refreshedTokens('accessToken' in tokens ? memoryTokens(tokens) : tokens, call)

const socketUrl = (base: URL, ticket: string): string => {
  const url = new URL('v1/ws', base)
  url.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:'
  url.searchParams.set('ticket', ticket)
  return url.href
}

const closedError = (): AicmError =>
  new AicmError({
    code: 'client_closed',
    message: 'This client was closed.',
    hint: 'Make a new one with createClient.',
  })
