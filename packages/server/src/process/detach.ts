import { spawn } from 'node:child_process'

/** Starts a program that lives on without this one, with the given environment only. Rejects when it cannot be started. */
export const startDetached = (command: readonly [string, ...string[]], env: Record<string, string>): Promise<void> =>
  new Promise((resolve, reject) => {
    const [file, ...args] = command
    const child = spawn(file, args, { env, stdio: 'ignore', detached: true })
    child.once('error', reject)
    child.once('spawn', () => {
      child.unref()
      resolve()
    })
  })
