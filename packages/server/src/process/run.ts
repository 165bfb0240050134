import { killProcessGroup, spawnChild, type SpawnOptions } from './spawn-child.ts'

export type RunResult = { code: number | null; signal: string | null; stdout: string; stderr: string }

const maxOutput = 64 * 1024

/**
 * Runs a command to its end, with the given environment only. Keeps the first 64 KiB of each output.
 * Rejects when it cannot be started; ends it (and its group) on `signal` or after `timeoutMs`.
 */
export const run = (
  command: readonly [string, ...string[]],
  options: SpawnOptions & { timeoutMs?: number; signal?: AbortSignal },
): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = spawnChild(command, options, 'ignore')
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < maxOutput) output[name] = (output[name] + text).slice(0, maxOutput)
      })
    const end = (): void => killProcessGroup(child)
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(end, options.timeoutMs)
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
