/** What the program returns to the shell. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, noServer: 3, interrupted: 130, terminated: 143 } as const
export type ExitCode = number

/** A refusal of the command line itself; what the server refuses is an AicmError. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: string
  readonly hint: string | undefined
  readonly exitCode: ExitCode

  constructor({ code, message, hint, exitCode }: { code: string; message: string; hint?: string; exitCode: ExitCode }) {
    super(message)
    this.code = code
    this.hint = hint
    this.exitCode = exitCode
  }
}

/** The command was not understood. */
export const usageError = (message: string, hint?: string): CliError =>
  new CliError({ code: 'usage', message, exitCode: exitCodes.usage, ...(hint === undefined ? {} : { hint }) })
