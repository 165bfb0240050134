import type { UpMessage } from '@aicm/protocol'
import { WebSocket } from 'ws'
import type { Scope } from './scope.ts'
import type { Server } from './server.ts'
import type { Prompted, Turn } from './turn.ts'

/** A client of the server that does no more than it must: frames are looked through for a marker, and parsed later. */
export type Socket = AsyncDisposable & {
  send(message: UpMessage): void
  /** Frames until one holds `marker`, that one included. */
  until(marker: string, onFrame?: (frame: Buffer) => void): Promise<Buffer[]>
}

export const openSocket = async (scope: Scope, server: Server): Promise<Socket> => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${server.token}` },
    perMessageDeflate: false,
  })
  const owned = scope.own(async () => socket.terminate())
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return {
    send: (message) => socket.send(JSON.stringify(message)),
    until: (marker, onFrame) =>
      new Promise((resolve, reject) => {
        const wanted = Buffer.from(marker)
        const frames: Buffer[] = []
        const closed = (): void => reject(new Error('The server closed the connection.'))
        const take = (frame: Buffer): void => {
          frames.push(frame)
          onFrame?.(frame)
          if (frame.includes('"type":"error"')) reject(new Error(frame.toString('utf8')))
          if (!frame.includes(wanted)) return
          socket.off('message', take).off('close', closed)
          resolve(frames)
        }
        socket.on('message', take).once('close', closed)
      }),
    ...owned,
  }
}

const firstText = Buffer.from('"kind":"text"')

/** Prompts to a session through a socket that follows it. */
export const promptThrough = (socket: Socket, sessionId: string): Prompted => ({
  prompt: async (prompt): Promise<Turn> => {
    let firstTextMs = Number.NaN
    const start = performance.now()
    const frames = socket.until('"type":"complete"', (frame) => {
      if (Number.isNaN(firstTextMs) && frame.includes(firstText)) firstTextMs = performance.now() - start
    })
    socket.send({ type: 'execute', ref: 'prompt', sessionId, prompt })
    const received = await frames
    return { firstTextMs, wholeMs: performance.now() - start, received }
  },
})
