import type { FailureCode, RecoverySettings } from '@aicm/protocol'
import type { Exit } from '../process/exit-status.ts'

/** What a session does about its failures: the server's settings, with the session's own over them. Delays in milliseconds. */
export type RecoveryPolicy = Required<RecoverySettings>

/**
 * - `respawn`: a new process resumes the conversation and is given the same prompt again, under the same UUID.
 * - `report`: the turn ends with the reason. claude has retried by itself where that could help: nobody retries on top of it.
 * - `wait`: the same, and never given up: it is not the session's, and passes.
 * - `close`: nothing that this server could start would end otherwise.
 */
export type FailureAction = 'respawn' | 'wait' | 'report' | 'close'

/**
 * Every class of failure, and what is done about it. What is not here is no failure of a session's: a storage that cannot
 * write refuses requests, and what claude says meanwhile waits in its journal.
 */
export const failureActions: Record<FailureCode, FailureAction> = {
  process_crashed: 'respawn',
  out_of_memory: 'respawn',
  file_size_limit: 'respawn',
  disk_full: 'wait',
  start_failed: 'respawn',
  start_timeout: 'respawn',
  turn_silent: 'respawn',
  process_unresponsive: 'respawn',
  protocol_garbage: 'respawn',
  claude_missing: 'respawn',
  workspace_missing: 'close',
  auth_required: 'report',
  rate_limited: 'report',
  budget_exceeded: 'report',
  subscription_owner_only: 'report',
  overloaded: 'report',
  quota_exceeded: 'report',
  account_disabled: 'report',
  prompt_too_long: 'report',
  max_turns: 'report',
  api_error: 'report',
  claude_error: 'report',
  turn_cut_off: 'report',
}

/**
 * The first replacement comes at once: most crashes are single. Behind it the delays grow, each shortened by up to a half at
 * random, so that sessions that failed together do not come back together. `random` is from 0 to 1.
 */
export const retryDelay = (policy: RecoveryPolicy, failures: number, random: number): number =>
  failures <= 1
    ? 0
    : Math.round(Math.min(policy.maxDelay, policy.baseDelay * policy.factor ** (failures - 2)) * (1 - random / 2))

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
  if (exit.outOfMemory === true || /out of memory|JavaScript heap|ENOMEM/i.test(stderr))
    return { code: 'out_of_memory', message: `claude ended because there was no memory left for it.${detail}` }
  const how =
    exit.signal !== null
      ? `was ended by ${exit.signal}`
      : exit.code === null
        ? 'was ended from outside'
        : `ended by itself with exit code ${exit.code}`
  // It has no room for a reason either.
  if (exit.diskFull === true) return { code: 'disk_full', message: `claude ${how} while the disk is full.${detail}` }
  return started
    ? { code: 'process_crashed', message: `claude ${how}.${detail}` }
    : { code: 'start_failed', message: `claude ${how} before it was ready.${detail}` }
}
