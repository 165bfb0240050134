import { readFileSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import type { Log } from '../../lib/log.ts'
import { plainAddress, sourceOf } from '../../rate-limit/networks.ts'

/** What a quiet connection is asked for a sign of life after, by the system. */
const keepAliveMs = 5000
const sayAgainMs = 10_000

/** How many files this process may have open; undefined where that is not known. */
const mostFiles = (): number | undefined => {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** So many that sessions, database and log still find a descriptor. */
export const connectionsOfMachine = (): number | undefined => {
  const files = mostFiles()
  return files === undefined ? undefined : Math.floor((files * 3) / 4)
}

/** Closes connections as they come when there are too many, in all or of one address. */
export const limitConnections = (
  server: Server,
  options: {
    most: number | undefined
    mostOfAddress: number
    isProxy: (address: string) => boolean
    log: Log
  },
): void => {
  const { most, mostOfAddress, isProxy, log } = options
  const open = new Map<string, number>()
  let saidAt = Number.NEGATIVE_INFINITY

  /** Rarely: whoever opens too many shall not fill the log. */
  const say = (source: string, message: string): void => {
    if (performance.now() - saidAt < sayAgainMs) return
    saidAt = performance.now()
    log.warn({ source }, message)
  }

  const count = (socket: Socket): void => {
    const address = plainAddress(socket.remoteAddress ?? 'unknown')
    const source = sourceOf(address)
    const before = open.get(source) ?? 0
    if (before >= mostOfAddress && !isProxy(address)) {
      say(source, 'one address has too many connections: more are closed')
      return void socket.destroy()
    }
    socket.setKeepAlive(true, keepAliveMs)
    open.set(source, before + 1)
    socket.once('close', () => {
      const left = (open.get(source) ?? 1) - 1
      if (left === 0) open.delete(source)
      else open.set(source, left)
    })
  }

  if (most !== undefined) server.maxConnections = most
  server.prependListener('connection', count)
  server.on('drop', (dropped) =>
    say(dropped?.remoteAddress ?? 'unknown', 'there are too many connections: more are closed'),
  )
}
