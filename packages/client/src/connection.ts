import { protocolVersion, slowReaderCode, type DownMessage, type UpMessage } from '@aicm/protocol'
import { AicmError, isTransient } from './aicm-error.ts'
import { backoffMs, pause } from './backoff.ts'
import type { Timing, WebSocketLike } from './options.ts'
import { readFrame } from './read-json.ts'
import { randomUuid } from './uuid.ts'

export type ConnectionState =
  /** Nothing needs a connection. */
  | { state: 'idle' }
  | { state: 'connecting' }
  | { state: 'open' }
  /** Lost, or not to be had: the next attempt comes at `retryAt` (milliseconds since 1970). */
  | { state: 'waiting'; attempt: number; retryAt: number; error: AicmError }

export type ConnectionStatus = {
  state(): ConnectionState
  /** Called with each new state; returns the way to stop it. */
  onChange(handler: (state: ConnectionState) => void): () => void
}

export type Connection = ConnectionStatus & {
  /** Opens it, and keeps it open through every failure, until `stop`. */
  start(): void
  stop(): void
  /** False when there is no connection now: `onOpen` is the time to say it again. */
  send(message: UpMessage): boolean
}

type ConnectionOptions = {
  /** A fresh single-use ticket. */
  ticket: (signal: AbortSignal) => Promise<string>
  socketUrl: (ticket: string) => string
  WebSocket: new (url: string) => WebSocketLike
  timing: Timing
  /** The server has said hello: everything that is wanted of it is to be sent now. */
  onOpen: () => void
  onMessage: (message: DownMessage, bytes: number) => void
  /** The server closed because a message was too big for it. */
  onTooBig: () => void
  /** Trying again will not help. The connection is stopped. */
  onFatal: (error: unknown) => void
}

/** What also a server says that cannot serve anything. */
const saysLittle: ReadonlySet<DownMessage['type']> = new Set(['pong', 'error', 'health'])

export const createConnection = (options: ConnectionOptions): Connection => {
  const { timing } = options
  const handlers = new Set<(state: ConnectionState) => void>()
  let state: ConnectionState = { state: 'idle' }
  let running: AbortController | undefined
  let socket: WebSocketLike | undefined
  // Back to 0 when the server has said something of use, not when it has merely answered.
  let attempt = 0

  const enter = (next: ConnectionState) => {
    state = next
    for (const handler of [...handlers]) handler(next)
  }

  /** One connection, from ticket to loss. Settles when it is over: resolves when it was just lost, else throws the reason. */
  const live = async (signal: AbortSignal): Promise<void> => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timing.connectMs)])
    const ticket = await options.ticket(deadline)
    signal.throwIfAborted()
    const current = new options.WebSocket(options.socketUrl(ticket))
    let opened = false
    let lastHeard = performance.now()
    let heartbeat: ReturnType<typeof setInterval> | undefined
    let late: ReturnType<typeof setTimeout> | undefined
    let stopped: (() => void) | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const lost = (message: string) => {
          if (opened) return resolve()
          const hint =
            'Check any proxy in between: it must pass WebSocket upgrades. The server refuses foreign origins.'
          reject(new AicmError({ code: 'unreachable', message, hint }))
        }
        late = setTimeout(() => lost('The server did not answer over the WebSocket in time.'), timing.connectMs)
        stopped = () => lost('Stopped.')
        signal.addEventListener('abort', stopped)
        current.addEventListener('error', () => {
          // 'close' follows, with all that is known.
        })
        current.addEventListener('close', ({ code, reason }) => {
          if (code === slowReaderCode) return reject(readTooSlowly(reason))
          if (code === 1009 && !signal.aborted) options.onTooBig()
          lost(`The WebSocket could not be opened (close code ${code}).`)
        })
        current.addEventListener('message', ({ data }) => {
          if (signal.aborted || typeof data !== 'string') return
          lastHeard = performance.now()
          const message = readFrame(data)
          if (message === undefined) return
          if (message.type !== 'hello') {
            if (!saysLittle.has(message.type)) attempt = 0
            return options.onMessage(message, data.length)
          }
          clearTimeout(late)
          if (message.protocol > protocolVersion) return reject(mismatch(message.protocol))
          opened = true
          socket = current
          heartbeat = setInterval(() => {
            if (performance.now() - lastHeard > timing.deadMs) return lost('The server fell silent.')
            current.send(JSON.stringify({ type: 'ping', ref: randomUuid() }))
          }, timing.pingMs)
          enter({ state: 'open' })
          options.onOpen()
        })
      })
    } finally {
      clearInterval(heartbeat)
      clearTimeout(late)
      if (stopped !== undefined) signal.removeEventListener('abort', stopped)
      if (socket === current) socket = undefined
      current.close()
    }
  }

  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      enter({ state: 'connecting' })
      let error = new AicmError({ code: 'unreachable', message: 'The connection to the server was lost.' })
      try {
        await live(signal)
      } catch (cause) {
        if (signal.aborted) return
        const timedOut = cause instanceof DOMException && cause.name === 'TimeoutError'
        const again = isTransient(cause) || isInternal(cause) || isTooSlow(cause)
        if (!again && !timedOut) {
          stop()
          return options.onFatal(cause)
        }
        if (cause instanceof AicmError) error = cause
      }
      if (signal.aborted) return
      const delay = Math.max(
        backoffMs(attempt, { baseMs: timing.backoffBaseMs, maxMs: timing.backoffMaxMs }),
        (error.retryAfter ?? 0) * 1000,
      )
      attempt += 1
      enter({ state: 'waiting', attempt, retryAt: Date.now() + delay, error })
      await pause(delay, signal)
    }
  }

  const stop = () => {
    if (running === undefined) return
    running.abort()
    running = undefined
    socket = undefined
    attempt = 0
    enter({ state: 'idle' })
  }

  return {
    state: () => state,
    onChange: (handler) => {
      handlers.add(handler)
      return () => {
        handlers.delete(handler)
      }
    },
    start: () => {
      if (running !== undefined) return
      running = new AbortController()
      void run(running.signal)
    },
    stop,
    send: (message) => {
      if (socket === undefined) return false
      socket.send(JSON.stringify(message))
      return true
    },
  }
}

/** A server that breaks while it makes a ticket is about to be restarted: not the end for those who wait. */
const isInternal = (error: unknown): boolean => error instanceof AicmError && error.status >= 500

const isTooSlow = (error: unknown): boolean => error instanceof AicmError && error.code === 'read_too_slowly'

const readTooSlowly = (reason: string): AicmError =>
  new AicmError({
    code: 'read_too_slowly',
    message: `The server cut off this connection, which was read too slowly (${reason}).`,
    hint: 'It is opened again and goes on where it was. Choose another policy (`slow`) to be waited for instead.',
  })

const mismatch = (theirs: number): AicmError =>
  new AicmError({
    code: 'protocol_mismatch',
    message: `The server speaks protocol ${theirs}, this client ${protocolVersion}.`,
    hint: 'Update the client (reload the page).',
  })
