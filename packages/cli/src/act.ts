import type { ExitCode } from './cli-error.ts'
import type { Context } from './context.ts'

/**
 * Makes an action for commander of what a command does. That is loaded when the command runs, and the client with it, since
 * `aicm --help` needs neither; it gets what commander hands an action: the arguments in their order, then the options.
 */
export type Act = <Given extends unknown[]>(
  load: () => Promise<(context: Context, ...given: Given) => Promise<ExitCode>>,
) => (...given: Given) => Promise<void>
