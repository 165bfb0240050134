import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TestServer } from '@aicm/testing/start-server'

/** The built program, which starts with a third of the CPU that its sources take. */
export const aicmPath = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** The environment of a person at a terminal: nothing of this process's own. */
export const aicmEnv = (home: string, more: Record<string, string> = {}): Record<string, string> => ({
  PATH: `${process.execPath.replace(/\/[^/]*$/, '')}:/usr/bin:/bin`,
  HOME: home,
  LANG: 'C.UTF-8',
  TERM: 'xterm',
  ...more,
})

export type Run = {
  child: ChildProcess
  /** What it has printed so far. */
  stdout(): string
  stderr(): string
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** Starts the command line as a process. `input` is its stdin, which ends with it. */
export const startAicm = (
  server: Pick<TestServer, 'url'>,
  home: string,
  args: string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Run => {
  const child = spawn(process.execPath, [aicmPath, ...args], {
    env: aicmEnv(home, { AICM_SERVER: server.url, ...env }),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return {
    child,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    ended: new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve({ code, ...output }))
    }),
  }
}
