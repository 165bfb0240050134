import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** For tests: the built program as a process of its own, with an environment and a home of its own. */
export type AicmProcess = {
  child: ChildProcess
  stdout(): string
  stderr(): string
  /** Waits until this is in stdout or stderr. */
  says(text: string): Promise<void>
  done: Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>
}

export const startAicm = (
  args: string[],
  { home, env = {}, input = '' }: { home: string; env?: Record<string, string>; input?: string | null },
): AicmProcess => {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url)), ...args],
    {
      env: { PATH: process.env.PATH ?? '', HOME: home, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  const texts = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (piece: string) => {
      texts[name] += piece
      for (const listener of listeners) listener()
    })
  child.stdin.on('error', () => {
    // It ended without reading all of its input.
  })
  // `null` leaves stdin open: a pipe that nobody writes to.
  if (input !== null) child.stdin.end(input)

  return {
    child,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!texts.stdout.includes(text) && !texts.stderr.includes(text)) return
          listeners.delete(look)
          resolve()
        }
        listeners.add(look)
        child.on('close', () => reject(new Error(`It ended without saying "${text}": ${texts.stdout}${texts.stderr}`)))
        look()
      }),
    done: once(child, 'close').then(([code, signal]) => ({ code, signal, ...texts })),
  }
}
