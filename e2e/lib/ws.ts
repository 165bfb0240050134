import type { DownMessage } from '@aicm/protocol'
import { WebSocket, type ClientOptions } from 'ws'

/** A WebSocket as it is, without the SDK: what came and has not been taken waits. */
export type RawSocket = {
  socket: WebSocket
  send(message: unknown): void
  /** The next message of this type; those before it are dropped. Rejects when the socket closes first. */
  next<T extends DownMessage['type']>(type: T): Promise<Extract<DownMessage, { type: T }>>
  /** Resolves with the code. */
  closed: Promise<number>
  close(): void
}

/** Opens one and waits for it to be open. Rejects with `refused` (status and body) when the upgrade is refused. */
export const openSocket = async (url: string, options: ClientOptions = {}): Promise<RawSocket> => {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options)
  const received: DownMessage[] = []
  let wake: (() => void) | undefined
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  let ended = false
  const notify = (): void => {
    wake?.()
    wake = undefined
  }
  void closed.then(() => {
    ended = true
    notify()
  })
  socket.on('message', (data: Buffer) => {
    received.push(JSON.parse(data.toString('utf8')) as DownMessage)
    notify()
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
    socket.once('unexpected-response', (_, response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => reject(new Refused(response.statusCode ?? 0, JSON.parse(text))))
    })
  })
  // A close code is looked at where it matters; a reset is a close too.
  socket.on('error', () => undefined)
  return {
    socket,
    closed,
    send: (message) =>
      socket.send(typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message)),
    next: async <T extends DownMessage['type']>(type: T) => {
      while (true) {
        const message = received.shift()
        if (message?.type === type) return message as Extract<DownMessage, { type: T }>
        if (message !== undefined) continue
        if (ended) throw new Error(`the socket closed before a message of type ${type}`)
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    close: () => socket.terminate(),
  }
}

/** The answer to an upgrade that was refused. */
export class Refused extends Error {
  readonly status: number
  readonly body: unknown

  constructor(status: number, body: unknown) {
    super(`the upgrade was refused with ${status}`)
    this.status = status
    this.body = body
  }
}
