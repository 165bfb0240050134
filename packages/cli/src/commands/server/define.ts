import type { Command } from 'commander'
import type { Act } from '../../act.ts'

/** Starts a server. */
export const defineUp = (program: Command, act: Act): void => {
  program
    .command('up')
    .description('start the server in the foreground; takes its flags (see: aicm up --help)')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[flags...]')
    // Reached only when global flags come first: `aicm --json up` has no meaning of its own.
    .action(
      act(async () => {
        const { up } = await import('./up.ts')
        return ({ io }, flags: string[]) => up(io, flags)
      }),
    )
}

/** Asks a server how it is. */
export const defineHealth = (program: Command, act: Act): void => {
  program
    .command('health')
    .description('show what the server runs on, and what is wrong with it (exit code 1)')
    .action(act(async () => (await import('./health.ts')).health))
}
