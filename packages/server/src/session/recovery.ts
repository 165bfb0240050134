import type { FailureCode } from '@aicm/protocol'
import type { Exit } from '../process/exit-status.ts'

/** How often and how fast a process that ended by itself is replaced. Milliseconds. */
export type RetryPolicy = { baseDelay: number; maxDelay: number; factor: number; maxRetries: number }

export const defaultRetryPolicy: RetryPolicy = { baseDelay: 200, maxDelay: 30_000, factor: 3, maxRetries: 5 }

/** The first replacement comes at once: most crashes are single. */
export const retryDelay = (policy: RetryPolicy, failures: number): number =>
  failures <= 1 ? 0 : Math.min(policy.maxDelay, policy.baseDelay * policy.factor ** (failures - 2))

export type Failure = { code: FailureCode; message: string }

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.slice(0, 500) ?? ''

/** What the end of a process means. `started` tells whether it had ever taken prompts. */
export const classifyExit = (exit: Exit, stderr: string, started: boolean): Failure => {
  const said = lastLine(stderr)
  const detail = said === '' ? '' : ` It said: ${said}`
  if (exit.signal === 'SIGXFSZ')
    return { code: 'file_size_limit', message: `claude wrote a file past the size limit and was ended.${detail}` }
  if (/ENOSPC|no space left/i.test(stderr))
    return { code: 'disk_full', message: `claude ended because the disk is full.${detail}` }
  const how =
    exit.signal !== null
      ? `was ended by ${exit.signal}`
      : exit.code === null
        ? 'was ended from outside'
        : `ended by itself with exit code ${exit.code}`
  return started
    ? { code: 'process_crashed', message: `claude ${how}.${detail}` }
    : { code: 'start_failed', message: `claude ${how} before it was ready.${detail}` }
}
