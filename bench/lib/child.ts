import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import type { Scope } from './scope.ts'

export type Child = AsyncDisposable & {
  pid: number
  stdin: Writable
  stdout: Readable
  exited: Promise<number | null>
}

const killAfterMs = 10_000

/** A child with pipes; what it says on stderr is ours. Its end is a SIGTERM, and a SIGKILL where that does not help. */
export const startChild = async (
  scope: Scope,
  options: { argv: readonly [string, ...string[]]; env: Record<string, string>; cwd?: string },
): Promise<Child> => {
  const [file, ...args] = options.argv
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(file, args, {
    env: options.env,
    cwd: options.cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const end = async (): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    await exited
    clearTimeout(timer)
  }
  let owned: AsyncDisposable
  try {
    owned = scope.own(end)
  } catch (error) {
    // The run was ended a moment ago: so is this.
    await end()
    throw error
  }
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  // A child that has gone does not read: that shows in its exit.
  child.stdin.on('error', () => undefined)
  return { pid: child.pid ?? -1, stdin: child.stdin, stdout: child.stdout, exited, ...owned }
}

/** The first match in what a child prints; rejects when it ends without. The rest of its output is thrown away. */
export const firstMatch = (child: Child, pattern: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    const look = (chunk: Buffer): void => {
      text += chunk.toString('utf8')
      const found = pattern.exec(text)?.[1]
      if (found === undefined) return
      child.stdout.off('data', look).resume()
      resolve(found)
    }
    child.stdout.on('data', look)
    void child.exited.then((code) => reject(new Error(`The program ended with ${code} and said only: ${text}`)))
  })
