import type { Readable, Writable } from 'node:stream'
import { killProcessGroup, spawnChild, type SpawnOptions } from './spawn-child.ts'

/** A program that works for this server as long as they talk to each other. */
export type TalkingProcess = {
  input: Writable
  output: Readable
  /** Resolves when it has ended and all it said was read, with the beginning of what it said on stderr. Never rejects. */
  ended: Promise<{ reason: string; stderr: string }>
  /** Closes its input, which asks it to end; after `graceMs` it is killed, with its group. Resolves with `ended`. */
  end(graceMs: number): TalkingProcess['ended']
}

const maxStderr = 4096

/** Starts it. What goes wrong with that is in `ended`. Throws where its folder is not what it was. */
export const talk = (command: readonly [string, ...string[]], options: SpawnOptions): TalkingProcess => {
  const child = spawnChild(command, options, 'pipe')
  const { stdin: input, stdout: output } = child
  if (input === null || output === null) throw new Error('a child without pipes')
  // A child that is gone does not read: its end says so.
  input.on('error', () => undefined)
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < maxStderr) stderr += text
  })
  const ended = new Promise<{ reason: string; stderr: string }>((resolve) => {
    child.once('error', (error) => resolve({ reason: error.message, stderr }))
    child.once('close', (code, signal) => resolve({ reason: `it ended with ${code ?? signal}`, stderr }))
  })
  return {
    ...{ input, output, ended },
    end: (graceMs) => {
      input.end()
      // Nobody reads any more what it still says; unread it would wait for ever.
      output.destroy()
      const timer = setTimeout(() => killProcessGroup(child), graceMs)
      return ended.finally(() => clearTimeout(timer))
    },
  }
}
