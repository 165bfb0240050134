import type { AicmError } from '@aicm/client'
import { CliError, exitCodes, type ExitCode } from './cli-error.ts'
import { inertJson, inertLine } from './inert.ts'
import type { Io } from './io.ts'
import type { Style } from './style.ts'

export type Failure = { code: string; message: string; hint?: string; requestId?: string; exitCode: ExitCode }

/** Told by its name: importing the class would load the whole client, to say that a flag is unknown. */
const isAicmError = (error: unknown): error is AicmError => error instanceof Error && error.name === 'AicmError'

/** What went wrong, in the program's own terms. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof CliError) {
    const { code, message, hint, exitCode } = error
    return { code, message, exitCode, ...(hint === undefined ? {} : { hint }) }
  }
  if (isAicmError(error)) {
    const { code, message, requestId } = error
    const hint = hints[code] ?? error.hint
    return {
      code,
      message,
      exitCode: exits[code] ?? exitCodes.failed,
      ...(hint === undefined ? {} : { hint }),
      ...(requestId === undefined ? {} : { requestId }),
    }
  }
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : String(error),
    exitCode: exitCodes.failed,
  }
}

/** What to do about it here, where the server's advice is written for programmers. */
const hints: Record<string, string | undefined> = {
  unauthorized: 'run: aicm login',
  invalid_refresh_token: 'run: aicm login',
  refresh_token_reused: 'Another program used this login too, or somebody has stolen it. Run: aicm login',
  password_change_required: 'run: aicm passwd',
  user_not_found: 'Check the name; administrators see all: aicm users ls',
  unreachable: 'Start the server (aicm up), or give its address: --server URL, AICM_SERVER.',
  untrusted_certificate: 'Name the authority that signed it: --ca FILE, NODE_EXTRA_CA_CERTS.',
  session_not_found: 'See: aicm sessions ls',
  workspace_not_found: 'See: aicm workspaces ls',
  approval_not_found: 'See: aicm approve',
  quota_exceeded: 'Close or delete what you no longer need, or ask an administrator for more. See: aicm quotas',
  subscription_owner_only: 'Use a session of your own, or ask its owner to add an API key.',
  limit_too_high: 'See: aicm limits. An administrator may give more.',
}

const exits: Record<string, ExitCode | undefined> = {
  unauthorized: exitCodes.noServer,
  invalid_refresh_token: exitCodes.noServer,
  refresh_token_reused: exitCodes.noServer,
  invalid_credentials: exitCodes.noServer,
  unreachable: exitCodes.noServer,
  untrusted_certificate: exitCodes.noServer,
  unexpected_answer: exitCodes.noServer,
  protocol_mismatch: exitCodes.noServer,
  invalid_request: exitCodes.usage,
}

/** Tells it on stderr: for people, or as the server tells it to programs. */
export const reportError = (stderr: Io['stderr'], style: Style, json: boolean, failure: Failure): void => {
  const { exitCode: _, ...error } = failure
  if (json) {
    stderr.write(`${inertJson({ error })}\n`)
    return
  }
  stderr.write(`${style.red('error:')} ${inertLine(failure.message)} ${style.dim(`(${failure.code})`)}\n`)
  if (failure.hint !== undefined) stderr.write(`${inertLine(failure.hint)}\n`)
}
