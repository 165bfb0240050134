import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { nothingElse } from './child-descriptors.ts'

/** Starts a program that lives on without this one, with the given environment only. Rejects when it cannot be started. */
export const startDetached = (command: readonly [string, ...string[]], env: Record<string, string>): Promise<void> =>
  new Promise((resolve, reject) => {
    const devNull = openSync('/dev/null', 'r+')
    const [file, ...args] = command
    const child = spawn(file, args, {
      env,
      stdio: nothingElse(['ignore', 'ignore', 'ignore'], { mounts: [], devNull }),
      detached: true,
    })
    closeSync(devNull)
    child.once('error', reject)
    child.once('spawn', () => {
      child.unref()
      resolve()
    })
  })
