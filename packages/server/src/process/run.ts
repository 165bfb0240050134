import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { childDescriptors, nothingElse, openChildFolder, type ChildFolder } from './child-descriptors.ts'
import { joinArgv, openGroup, type Group } from './group.ts'
import type { Owner } from './owner.ts'

export type RunResult = { code: number | null; signal: string | null; stdout: string; stderr: string }

const maxOutput = 64 * 1024

/**
 * Runs a short command to its end, with the given environment only. Keeps the first 64 KiB of each output.
 * Rejects when it cannot be started; ends it (and its group) on `signal` or after `timeoutMs`.
 */
export const run = (
  command: readonly [string, ...string[]],
  options: {
    env: Record<string, string>
    cwd?: string
    owner?: Owner | undefined
    folder?: ChildFolder | undefined
    group?: Group
    timeoutMs: number
    signal?: AbortSignal
  },
): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const joining = options.group === undefined ? [] : openGroup(options.group)
    const [file, ...args] = joining.length === 0 ? command : joinArgv(childDescriptors.group, joining.length, command)
    const folder = options.folder === undefined ? undefined : openChildFolder(options.folder)
    const devNull = openSync('/dev/null', 'r+')
    let child: ChildProcess
    try {
      child = spawn(file, args, {
        env: options.env,
        cwd: options.cwd,
        // As in `launch`: behind the folder is where a wrapper writes the exit status, which is known here without it.
        stdio: nothingElse(['ignore', 'pipe', 'pipe', folder ?? 'ignore', devNull, ...joining], devNull),
        detached: true,
        ...options.owner,
      })
    } finally {
      for (const fd of [devNull, ...joining]) closeSync(fd)
      if (folder !== undefined) closeSync(folder)
    }
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < maxOutput) output[name] = (output[name] + text).slice(0, maxOutput)
      })
    const end = (): void => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    const timer = setTimeout(end, options.timeoutMs)
    options.signal?.addEventListener('abort', end, { once: true })
    const settle = (): void => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', end)
    }
    child.on('error', (error) => {
      settle()
      reject(error)
    })
    // 'close' comes after the outputs have ended: acting on 'exit' would lose their tail.
    child.on('close', (code, signal) => {
      settle()
      resolve({ code, signal, ...output })
    })
  })
