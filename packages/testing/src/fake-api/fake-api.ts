import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
import { WebSocketServer, type WebSocket } from 'ws'
import {
  errorTable,
  parseCursor,
  type Accepted,
  type Approval,
  type ContentBlock,
  type DownMessage,
  type ErrorCode,
  type Health,
  type Resources,
  type Session,
  type StreamItem,
  type UpMessage,
  type Workspace,
} from '@aicm/protocol'
import { disturb, type Chaos } from './chaos.ts'
import { createFakeSession, type FakeSession } from './fake-session.ts'

/** A turn as the script of a test plays it; it must end with a `complete`. */
export type FakeTurn = { turnId: string; text: string; session: FakeSession; interrupted: AbortSignal }

export type FakeApiOptions = {
  /** Plays a turn. By default it says the prompt back and completes. */
  play?: (turn: FakeTurn) => Promise<void>
  chaos?: Chaos
  /** When given, only these user names and passwords may log in, and a token is asked for. */
  users?: Record<string, string>
  version?: string
  health?: Partial<Health>
}

/**
 * A server that speaks the protocol over real sockets, without Claude and without storage: for tests of what clients do,
 * above all when the connection behaves badly.
 */
export type FakeApi = AsyncDisposable & {
  url: string
  port: number
  sessions: Map<string, FakeSession>
  workspaces: Workspace[]
  approvals: Map<string, Approval>
  createSession(fields?: Partial<Session>): FakeSession
  /** Asks for permission and waits for the answer of a client. */
  ask(turn: FakeTurn, approval: Pick<Approval, 'tool' | 'input'>): Promise<Approval['state']>
  /** What clients sent over WebSockets, in order. */
  received: UpMessage[]
  /** How many WebSockets were opened so far, and how many are open. */
  sockets: { opened: number; open: Set<WebSocket> }
  cutAll(): void
  /** From now on every access token is refused; refresh tokens go on. */
  expireTokens(): void
  /** Refuses the next `times` calls of this operation with this code. */
  refuse(operation: string, code: ErrorCode, times?: number): void
}

const id = (kind: string): string => {
  const letters = '0123456789abcdefghjkmnpqrstvwxyz'
  return `${kind}_${Array.from({ length: 26 }, () => letters[Math.floor(Math.random() * 32)]).join('')}`
}

const time = () => new Date().toISOString()

class Refusal extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode) {
    super(`Refused: ${code}.`)
    this.code = code
  }
}

const sayBack = async ({ text, turnId, session }: FakeTurn) => {
  const block = randomUUID()
  for (const word of `You said: ${text}`.split(/(?<= )/)) session.grow({ block, text: word, turnId })
  session.store({ type: 'text', turnId, block, text: `You said: ${text}` })
  session.store({ type: 'complete', turnId, result: 'success', reason: 'completed', text: `You said: ${text}` })
}

export const startFakeApi = async (options: FakeApiOptions = {}): Promise<FakeApi> => {
  const { play = sayBack, chaos, users } = options
  const sessions = new Map<string, FakeSession>()
  const workspaces: Workspace[] = []
  const approvals = new Map<string, Approval>()
  const waiting = new Map<string, (state: Approval['state']) => void>()
  const turns = new Map<string, Accepted>()
  const running = new Map<string, { turnId: string; controller: AbortController }>()
  const queues = new Map<string, Promise<void>>()
  const received: UpMessage[] = []
  const sockets: FakeApi['sockets'] = { opened: 0, open: new Set() }
  const tickets = new Set<string>()
  const tokens = new Set<string>()
  const refreshTokens = new Map<string, 'good' | 'used'>()
  const refusals = new Map<string, { code: ErrorCode; times: number }>()

  const checkRefusal = (operation: string) => {
    const refusal = refusals.get(operation)
    if (refusal === undefined || refusal.times === 0) return
    refusal.times -= 1
    throw new Refusal(refusal.code)
  }

  const createWorkspace = (name: string): Workspace => {
    const workspace: Workspace = {
      id: id('wsp'),
      owner: null,
      name,
      source: 'empty',
      path: `/workspaces/${name}`,
      gitUrl: null,
      status: 'ready',
      error: null,
      createdAt: time(),
    }
    workspaces.push(workspace)
    return workspace
  }

  const createSession: FakeApi['createSession'] = (fields = {}) => {
    const session = createFakeSession({
      id: id('ses'),
      name: 'Unnamed',
      workspaceId: fields.workspaceId ?? createWorkspace(`workspace-${workspaces.length + 1}`).id,
      owner: null,
      model: null,
      permissionMode: 'default',
      systemPrompt: null,
      maxTurns: null,
      budget: null,
      waitsUntil: null,
      status: 'idle',
      reason: null,
      process: 'ready',
      generation: 1,
      turnId: null,
      queued: 0,
      awaiting: 0,
      lastSeq: 0,
      turns: 0,
      usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
      costUsd: 0,
      createdAt: time(),
      updatedAt: time(),
      ...fields,
    })
    sessions.set(session.info.id, session)
    return session
  }

  const sessionOf = (sessionId: string | undefined): FakeSession => {
    const session = sessions.get(sessionId ?? '')
    if (session === undefined) throw new Refusal('session_not_found')
    return session
  }

  const execute = (
    session: FakeSession,
    { id: turnId = randomUUID(), prompt, content }: { id?: string; prompt?: string; content?: ContentBlock[] },
  ): Accepted => {
    checkRefusal('execute')
    const known = turns.get(turnId)
    if (known !== undefined) return known
    if (session.info.status === 'closed') throw new Refusal('session_closed')
    const blocks: ContentBlock[] = content ?? [{ type: 'text', text: prompt ?? '' }]
    const { seq } = session.store({ type: 'prompt', turnId, content: blocks, userId: 'usr_1' })
    const accepted = { turnId, seq }
    turns.set(turnId, accepted)
    const text = blocks.map((block) => (block.type === 'text' ? block.text : '[image]')).join('\n')
    const before = queues.get(session.info.id) ?? Promise.resolve()
    const run = async () => {
      await before
      const controller = new AbortController()
      running.set(session.info.id, { turnId, controller })
      session.info.turnId = turnId
      session.store({ type: 'status', status: 'running', turnId })
      await play({ turnId, text, session, interrupted: controller.signal })
      running.delete(session.info.id)
      session.info.turnId = null
      if (session.info.status !== 'closed') session.store({ type: 'status', status: 'idle' })
    }
    queues.set(session.info.id, run())
    return accepted
  }

  const interrupt = (session: FakeSession): { turnId: string } => {
    const turn = running.get(session.info.id)
    if (turn === undefined) throw new Refusal('no_turn_running')
    turn.controller.abort()
    return { turnId: turn.turnId }
  }

  const answer = (approvalId: string | undefined, decision: 'allow' | 'deny'): Approval => {
    const approval = approvals.get(approvalId ?? '')
    if (approval === undefined) throw new Refusal('approval_not_found')
    if (approval.state !== 'pending') throw new Refusal('approval_already_answered')
    approval.state = decision === 'allow' ? 'allowed' : 'denied'
    waiting.get(approval.id)?.(approval.state)
    return approval
  }

  const ask: FakeApi['ask'] = async ({ session, turnId }, { tool, input }) => {
    const shared = { tool, input, canRemember: true, toolUseId: randomUUID() }
    const approval: Approval = {
      id: id('apr'),
      sessionId: session.info.id,
      turnId,
      ...shared,
      state: 'pending',
      createdAt: time(),
    }
    approvals.set(approval.id, approval)
    const message = { type: 'approval', approvalId: approval.id, turnId, ...shared } as const
    session.info.awaiting += 1
    const answered = new Promise<Approval['state']>((resolve) => waiting.set(approval.id, resolve))
    session.store({ ...message, state: 'pending' })
    const state = await answered
    session.info.awaiting -= 1
    session.store({ ...message, state })
    return state
  }

  const resources: Resources = {
    ...{ source: 'cgroup', memoryBytes: 200 * 2 ** 20, memoryPeakBytes: 300 * 2 ** 20, cpuSeconds: 1.25 },
    ...{ throttledPeriods: 0, processes: 3, tasks: 17, oomKills: 2 },
    limits: { memory: 2 ** 30, cpus: null, pids: 512, files: null, processes: null, fileSize: null, core: 0 },
  }

  const health = (): Health => ({
    status: 'ok',
    reasons: [],
    version: options.version ?? '0.0.0-fake',
    uptimeSeconds: 1,
    claude: { path: '/usr/bin/claude', version: '2.1.330', error: null },
    modelApi: {
      ...{ mode: 'demo', upstream: 'scripted', credential: 'none', broker: 'up', reachable: true, error: null },
      ...{ credentials: [], brokerRestarts: 0 },
    },
    isolation: {
      ...{ level: 'process', wanted: 'sealed', uidPerUser: false, limits: 'rlimit', kill: 'group' },
      ...{ credentials: 'broker', missing: [{ part: 'sealed', error: 'no bwrap', fix: 'Install it.' }] },
    },
    storage: { database: 'memory', keyValue: 'memory', schemaVersion: '1', writable: true, error: null },
    system: {
      cpu: { count: 2, load: 0.5, waiting: null },
      memory: { availableBytes: 4e9, totalBytes: 8e9, pressure: 'none', waiting: null },
      disk: { availableBytes: 4e10, totalBytes: 8e10, waiting: null },
    },
    breakers: { storage: 'closed', claude: 'closed', modelApi: 'closed' },
    sessions: {
      ...{ total: sessions.size, running: running.size, processes: sessions.size },
      ...{ spares: 0, waiting: 0, diverted: 0 },
    },
    ...options.health,
  })

  /** The operations: the first word of a route's key is its method. */
  const handle = (method: string, url: URL, body: Record<string, never>): { status: number; value?: unknown } => {
    const [, , room, name, act] = url.pathname.split('/')
    switch (`${method} ${room}${name === undefined ? '' : '/:id'}${act === undefined ? '' : `/${act}`}`) {
      case 'POST auth/:id': {
        if (name === 'ticket') {
          checkRefusal('ticket')
          const ticket = randomUUID()
          tickets.add(ticket)
          return { status: 201, value: { ticket, expiresIn: 30 } }
        }
        if (name === 'logout') {
          tokens.clear()
          refreshTokens.clear()
          return { status: 204 }
        }
        if (name === 'refresh') {
          checkRefusal('refresh')
          const state = refreshTokens.get(body.refreshToken ?? '')
          if (state === 'used') refreshTokens.clear()
          if (state !== 'good') throw new Refusal(state === 'used' ? 'refresh_token_reused' : 'invalid_refresh_token')
          refreshTokens.set(body.refreshToken ?? '', 'used')
        } else if (users !== undefined && users[body.username ?? ''] !== body.password)
          throw new Refusal('invalid_credentials')
        const [accessToken, refreshToken] = [randomUUID(), randomUUID()]
        tokens.add(accessToken)
        refreshTokens.set(refreshToken, 'good')
        return { status: 200, value: { accessToken, refreshToken, tokenType: 'Bearer', expiresIn: 900 } }
      }
      case 'GET auth/:id':
        return { status: 200, value: { id: id('usr'), username: 'admin', role: 'admin' } }
      case 'GET health':
        return { status: 200, value: health() }
      case 'GET sessions': {
        const status = url.searchParams.get('status')
        const limit = Number(url.searchParams.get('limit') ?? 50)
        const start = Number(url.searchParams.get('cursor') ?? 0)
        const all = [...sessions.values()]
          .map(({ info }) => info)
          .filter((info) => status === null || info.status === status)
        const end = start + limit
        return {
          status: 200,
          value: { sessions: all.slice(start, end), nextCursor: end < all.length ? `${end}` : null },
        }
      }
      case 'POST sessions':
        checkRefusal('create')
        return { status: 201, value: createSession(body).info }
      case 'GET sessions/:id':
        return { status: 200, value: sessionOf(name).info }
      case 'GET sessions/:id/resources':
        sessionOf(name)
        return { status: 200, value: resources }
      case 'PATCH sessions/:id':
        return { status: 200, value: Object.assign(sessionOf(name).info, body) }
      case 'DELETE sessions/:id':
        sessionOf(name)
        sessions.delete(name ?? '')
        return { status: 204 }
      case 'POST sessions/:id/execute':
        return { status: 202, value: execute(sessionOf(name), body) }
      case 'POST sessions/:id/interrupt':
        return { status: 202, value: interrupt(sessionOf(name)) }
      case 'POST sessions/:id/close': {
        const session = sessionOf(name)
        if (session.info.status !== 'closed') session.store({ type: 'status', status: 'closed', reason: 'manual' })
        return { status: 200, value: session.info }
      }
      case 'GET sessions/:id/events': {
        const { log, info } = sessionOf(name)
        const after = Number(url.searchParams.get('after') ?? 0)
        const events = log.slice(after, after + Number(url.searchParams.get('limit') ?? 1000))
        return { status: 200, value: { events, nextAfter: events.at(-1)?.seq ?? after, lastSeq: info.lastSeq } }
      }
      case 'GET workspaces':
        return { status: 200, value: { workspaces } }
      case 'POST workspaces': {
        if (workspaces.some((workspace) => workspace.name === body.name)) throw new Refusal('workspace_exists')
        return { status: 201, value: Object.assign(createWorkspace(''), body, { path: `/workspaces/${body.name}` }) }
      }
      case 'DELETE workspaces/:id': {
        const index = workspaces.findIndex((workspace) => workspace.id === name)
        if (index === -1) throw new Refusal('workspace_not_found')
        workspaces.splice(index, 1)
        return { status: 204 }
      }
      case 'GET approvals':
        return { status: 200, value: { approvals: [...approvals.values()].filter(({ state }) => state === 'pending') } }
      case 'POST approvals/:id':
        return { status: 200, value: answer(name, body.decision ?? 'deny') }
      default:
        throw new Refusal('not_found')
    }
  }

  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const reply = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(value === undefined ? undefined : JSON.stringify(value))
    }
    try {
      const url = new URL(request.url ?? '/', 'http://localhost')
      const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
      if (users !== undefined && !['/v1/auth/login', '/v1/auth/refresh'].includes(url.pathname) && !tokens.has(token))
        throw new Refusal('unauthorized')
      const { status, value } = handle(request.method ?? 'GET', url, text === '' ? {} : JSON.parse(text))
      reply(status, value)
    } catch (error) {
      const body = errorBody(error)
      reply(errorTable[body.code].status, { error: body })
    }
  }

  const connect = (socket: WebSocket) => {
    sockets.opened += 1
    sockets.open.add(socket)
    const subscriptions = new Map<string, () => void>()
    socket.on('close', () => {
      sockets.open.delete(socket)
      for (const leave of subscriptions.values()) leave()
    })
    const send = (message: DownMessage) => socket.send(JSON.stringify(message))

    const subscribe = ({ ref, sessionId, after = '0' }: Extract<UpMessage, { type: 'subscribe' }>) => {
      checkRefusal('subscribe')
      const session = sessionOf(sessionId)
      const backlog = session.since(parseCursor(after) ?? { seq: 0 })
      const sent: StreamItem[] = []
      let held: StreamItem[] = []
      const flush = () => {
        if (held.length > 0) send({ type: 'events', sessionId, items: held })
        held = []
      }
      const early = chaos === undefined || chaos.random() < 0.5
      // What is left out before the answer cannot be told from what an earlier subscription sent: that much must hold.
      let behaviour = early || chaos === undefined ? chaos : { ...chaos, drop: 0 }
      const deliver = (item: StreamItem) => {
        const whole = (block: string) => {
          for (const open of session.since({ seq: session.log.length }))
            if (open.type === 'delta' && open.block === block) return open.text
          return ''
        }
        const { items, cut, hold } = disturb(behaviour, item, sent, whole)
        held.push(...items)
        sent.push(item)
        if (cut) {
          flush()
          socket.terminate()
        } else if (!hold) flush()
      }
      const subscribed = { type: 'subscribed', ref, sessionId, lastSeq: session.info.lastSeq } as const
      if (early) send(subscribed)
      for (const item of backlog) if (socket.readyState === socket.OPEN) deliver(item)
      flush()
      if (!early && socket.readyState === socket.OPEN) send(subscribed)
      behaviour = chaos
      session.listeners.add(deliver)
      subscriptions.set(sessionId, () => session.listeners.delete(deliver))
    }

    const act = (message: UpMessage): DownMessage | undefined => {
      switch (message.type) {
        case 'ping':
          return { type: 'pong', ref: message.ref }
        case 'subscribe':
          if (subscriptions.has(message.sessionId)) throw new Refusal('invalid_request')
          subscribe(message)
          return undefined
        case 'unsubscribe':
          subscriptions.get(message.sessionId)?.()
          subscriptions.delete(message.sessionId)
          return { type: 'unsubscribed', ref: message.ref, sessionId: message.sessionId }
        case 'execute': {
          const accepted = execute(sessionOf(message.sessionId), message)
          // Accepted, but the answer is lost with the connection: the client must ask again, and it must not run twice.
          if (chaos !== undefined && chaos.random() < chaos.cut * 5) {
            socket.terminate()
            return undefined
          }
          return { type: 'accepted', ref: message.ref, sessionId: message.sessionId, ...accepted }
        }
        case 'interrupt':
          return {
            type: 'interrupted',
            ref: message.ref,
            sessionId: message.sessionId,
            ...interrupt(sessionOf(message.sessionId)),
          }
        case 'approve':
          return { type: 'approved', ref: message.ref, approval: answer(message.approvalId, message.decision.decision) }
      }
    }

    send({
      type: 'hello',
      protocol: 1,
      version: options.version ?? '0.0.0-fake',
      user: { id: id('usr'), username: 'admin', role: 'admin' },
    })
    socket.on('message', (data) => {
      const message: UpMessage = JSON.parse(String(data))
      received.push(message)
      try {
        const answered = act(message)
        if (answered !== undefined) send(answered)
      } catch (error) {
        send({ type: 'error', ref: message.ref, error: errorBody(error) })
      }
    })
  }

  const server = createServer((request, response) => void respond(request, response))
  const upgrades = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    const ticket = new URL(request.url ?? '/', 'http://localhost').searchParams.get('ticket') ?? ''
    if (!tickets.delete(ticket)) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    return upgrades.handleUpgrade(request, socket, head, connect)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const cutAll = () => {
    for (const socket of sockets.open) socket.terminate()
  }

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    sessions,
    workspaces,
    approvals,
    createSession,
    ask,
    received,
    sockets,
    cutAll,
    expireTokens: () => tokens.clear(),
    refuse: (operation, code, times = 1) => void refusals.set(operation, { code, times }),
    [Symbol.asyncDispose]: async () => {
      cutAll()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const errorBody = (error: unknown): { code: ErrorCode; message: string; hint: string; requestId: string } => {
  const code = error instanceof Refusal ? error.code : 'internal'
  const message = error instanceof Error ? error.message : String(error)
  return { code, message, hint: errorTable[code].hint, requestId: randomUUID() }
}
