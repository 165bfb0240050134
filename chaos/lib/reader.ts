import { cursorAfter, formatCursor, type DownMessage, type Message, type StreamItem } from '@aicm/protocol'
import { WebSocket } from 'ws'
import type { Problem } from './trial.ts'

/** Follows a session through everything that happens to the connection, and holds what it is told against what it was told. */
export type Reader = {
  /** Every durable message, in the order of arrival. */
  messages: readonly Message[]
  /** What the live text of each block has grown to. */
  shown: ReadonlyMap<string, string>
  problems: readonly Problem[]
  /** Resolves when `fact` is true; asked again after each batch. Rejects with `what` after a minute. */
  until(what: string, fact: () => boolean): Promise<void>
  stop(): void
}

const reconnectMs = 10
const patienceMs = 60_000

export const followSession = (options: {
  url: string
  token: string
  sessionId: string
  onMessage?(message: Message): void
}): Reader => {
  const { sessionId } = options
  const messages: Message[] = []
  const shown = new Map<string, string>()
  const problems: Problem[] = []
  const settled = new Set<string>()
  const waiting = new Set<() => void>()
  let cursor = '0'
  let lastSeq = 0
  let stopped = false
  let socket: WebSocket | undefined
  let retry: NodeJS.Timeout | undefined

  const blame = (kind: Problem['kind'], what: string): void =>
    void problems.push({ kind, what: `${sessionId}: ${what}` })

  const takeDelta = (item: Extract<StreamItem, { type: 'delta' }>): void => {
    if (item.kind === 'tool_use') return
    const before = shown.get(item.block) ?? ''
    if (settled.has(item.block)) blame('doubled', `a delta of ${item.block}, which had ended`)
    if (item.at > before.length) blame('lost', `${item.block} was shown up to ${before.length}, then from ${item.at}`)
    const again = before.slice(item.at, item.at + item.text.length)
    if (!item.text.startsWith(again)) blame('disordered', `${item.block} was told differently at ${item.at}`)
    if (item.at + item.text.length > before.length) shown.set(item.block, before.slice(0, item.at) + item.text)
  }

  const takeMessage = (message: Message): void => {
    if (message.seq <= lastSeq) {
      const known = messages.find(({ seq }) => seq === message.seq)
      return blame(
        known === undefined ? 'disordered' : 'doubled',
        `message ${message.seq} (${message.type}) after ${lastSeq}`,
      )
    }
    for (let seq = lastSeq + 1; seq < message.seq; seq++) blame('lost', `message ${seq}; ${message.seq} came instead`)
    lastSeq = message.seq
    messages.push(message)
    options.onMessage?.(message)
    if (message.type !== 'text' && message.type !== 'thinking') return
    settled.add(message.block)
    const live = shown.get(message.block) ?? ''
    if (!message.text.startsWith(live)) blame('disordered', `${message.block} ended as another text than was shown`)
  }

  const take = (frame: Buffer): void => {
    const down: DownMessage = JSON.parse(frame.toString('utf8'))
    if (down.type === 'error' && down.error.code === 'invalid_cursor')
      blame('lost', `the server does not know the message ${cursor} any more that it had told`)
    else if (down.type === 'error') socket?.terminate()
    if (down.type !== 'events') return
    for (const item of down.items) {
      if (item.type === 'delta') takeDelta(item)
      else takeMessage(item)
      cursor = formatCursor(cursorAfter(item))
    }
    for (const ask of waiting) ask()
  }

  const connect = (): void => {
    const opening = new WebSocket(`${options.url.replace('http', 'ws')}/v1/ws`, {
      headers: { authorization: `Bearer ${options.token}` },
      perMessageDeflate: false,
    })
    socket = opening
    // A refusal or a reset: the close after it is what counts.
    opening.on('error', () => undefined)
    opening.on('open', () =>
      opening.send(JSON.stringify({ type: 'subscribe', ref: 'follow', sessionId, after: cursor })),
    )
    opening.on('message', take)
    opening.on('close', () => {
      if (!stopped) retry = setTimeout(connect, reconnectMs)
    })
  }
  connect()

  return {
    messages,
    shown,
    problems,
    until: (what, fact) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          waiting.delete(ask)
          clearTimeout(timer)
        }
        const ask = (): void => {
          if (!fact()) return
          settle()
          resolve()
        }
        const timer = setTimeout(() => {
          settle()
          reject(new Error(`${sessionId}: waited in vain until ${what}`))
        }, patienceMs)
        waiting.add(ask)
        ask()
      }),
    stop: () => {
      stopped = true
      clearTimeout(retry)
      socket?.terminate()
    },
  }
}
