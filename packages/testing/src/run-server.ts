import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { builtServer } from '../../../scripts/lib/artifacts.js'

export type ServerProcess = {
  pid: number
  /** Resolves when it listens; rejects, with what it printed, when it ended before. */
  listening: Promise<void>
  exited: Promise<{ code: number | null }>
  output(): string
}

/**
 * A port that is free now, below those that outgoing connections get: while the server is down between two starts none of
 * the clients that try to reconnect can take its port by accident.
 */
export const freePort = async (): Promise<number> => {
  while (true) {
    const port = 10_000 + Math.floor(Math.random() * 22_000)
    const probe = createServer()
    try {
      probe.listen(port, '127.0.0.1')
      await once(probe, 'listening')
      return port
    } catch {
      // Taken: another.
    } finally {
      probe.close()
    }
  }
}

/**
 * Starts the server as users do, the built program, with the given environment only: `npm test` builds it first. From its
 * sources each start would take three times as much CPU.
 */
export const runServer = (options: {
  args: string[]
  env: Record<string, string>
  cwd: string
  /** A command that runs what it is given, as in a lesser host. */
  inside?: string[]
}): ServerProcess => {
  const command = [...(options.inside ?? []), process.execPath, ...builtServer, ...options.args]
  const child = spawn(command[0] ?? '', command.slice(1), {
    env: options.env,
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let ended = false
  const listening = Promise.withResolvers<void>()
  // Not everybody waits for it.
  listening.promise.catch(() => undefined)
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('listens on ')) listening.resolve()
    })
  const exited = new Promise<{ code: number | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      ended = true
      resolve({ code })
      listening.reject(new Error(`the server ended with ${code} before it listened:\n${output}`))
    })
  })
  if (child.pid === undefined || ended) throw new Error('the server could not be started')
  return { pid: child.pid, listening: listening.promise, exited, output: () => output }
}
