import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { DownMessage } from '@aicm/protocol'

/**
 * Bytes that may wait in a connection before its subscriptions pause: its reader then falls behind in the log, not here. The
 * kernel keeps more than that for a reader that does read.
 */
const highWater = 64 * 1024

/** What goes out on one WebSocket. */
export type Outgoing = {
  send(message: DownMessage): void
  /** A message that was made into a frame before. */
  sendFrame(frame: Buffer): void
  /** Bytes that the other side has not taken. */
  waiting(): number
  /** Undefined when there is room for a frame, else resolves when there is; those who wait go one by one. */
  room(): Promise<void> | undefined
  /** Whoever got room and does not use it passes it on. */
  passOn(): void
}

/** `connection` is what `socket` writes to. */
export const createOutgoing = (socket: WebSocket, connection: Duplex): Outgoing => {
  const blocked: (() => void)[] = []
  let corked = false

  const passOn = (): void => {
    if (socket.bufferedAmount <= highWater) blocked.shift()?.()
  }

  const write = (data: Buffer | string): void => {
    if (socket.readyState === socket.OPEN) socket.send(data, { binary: false }, passOn)
  }

  const uncork = (): void => {
    if (corked) connection.uncork()
    corked = false
  }

  socket.on('close', () => {
    for (const release of blocked.splice(0)) release()
  })

  return {
    // Most answers come with a frame right behind them, and share its way through the system.
    send: (message) => {
      if (!corked) {
        corked = true
        connection.cork()
        setImmediate(uncork)
      }
      write(JSON.stringify(message))
    },
    sendFrame: (frame) => {
      write(frame)
      uncork()
    },
    waiting: () => socket.bufferedAmount,
    room: () =>
      socket.bufferedAmount <= highWater || socket.readyState !== socket.OPEN
        ? undefined
        : new Promise((resolve) => blocked.push(resolve)),
    passOn,
  }
}
