import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import type { Act } from './act.ts'
import { exitCodes, usageError, type ExitCode } from './cli-error.ts'
import { defineKeys, defineLogins, defineUsers } from './commands/accounts/define.ts'
import { defineAllowances } from './commands/allowances/define.ts'
import { defineAudit } from './commands/audit/define.ts'
import { defineModelApi } from './commands/model-api/define.ts'
import { defineHealth, defineUp } from './commands/server/define.ts'
import { defineSessions, defineShare } from './commands/sessions/define.ts'
import { defineFiles, defineWorkspaces } from './commands/workspaces/define.ts'
import { createContext, defaultServer, type Context, type GlobalFlags } from './context.ts'
import type { Io } from './io.ts'
import { failureOf, reportError } from './report-error.ts'
import { createStyle } from './style.ts'

/** In the order of the help. */
const groups = [
  defineUp,
  defineLogins,
  defineSessions,
  defineWorkspaces,
  defineFiles,
  defineAudit,
  defineModelApi,
  defineAllowances,
  defineShare,
  defineKeys,
  defineUsers,
  defineHealth,
]

/** Runs one command line. Never throws; what went wrong is on stderr and in the exit code. */
export const runCli = async (argv: string[], io: Io): Promise<ExitCode> => {
  // All that follows `up` is the server's own affair, --help too.
  if (argv[0] === 'up') return (await import('./commands/server/up.ts')).up(io, argv.slice(1))

  let exitCode: ExitCode = exitCodes.ok
  let context: Context | undefined
  const onWriteError = (error: Error) => {
    const quiet = 'code' in error && error.code === 'EPIPE'
    if (!quiet && context?.leftWith() === undefined) reportError(io.stderr, createStyle(false), false, failureOf(error))
    context?.leave(quiet ? exitCodes.ok : exitCodes.failed)
  }
  io.stdout.on('error', onWriteError)
  // What cannot be said there cannot be said anywhere.
  const onStderrError = () => context?.leave(exitCodes.ok)
  io.stderr.on('error', onStderrError)

  const program = createProgram(io)
  const act: Act =
    (load) =>
    async (...given) => {
      const flags = program.opts<GlobalFlags>()
      context = createContext(io, flags)
      if (flags.ca !== undefined) await (await import('./trust-authority.ts')).trustAuthority(flags.ca)
      exitCode = await (await load())(context, ...given)
    }
  for (const define of groups) define(program, act)
  try {
    await program.parseAsync(argv, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok
    // Without a command commander has shown the help instead.
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage
    if (context?.leftWith() === undefined) {
      const json = argv.includes('--json')
      const failure = failureOf(error instanceof CommanderError ? usageOf(error) : error)
      const style = context?.err.style ?? createStyle(false)
      reportError(io.stderr, style, json, failure)
      exitCode = failure.exitCode
    }
  } finally {
    context?.close()
    io.stdout.off('error', onWriteError)
    io.stderr.off('error', onStderrError)
  }
  return context?.leftWith() ?? exitCode
}

const usageOf = (error: CommanderError) =>
  usageError(
    error.message.replace(/^error: /, '').replace(/\n.*/s, (rest) => rest.replace(/\s+/g, ' ')),
    'See: aicm --help',
  )

/** The options that every command has. */
const createProgram = (io: Io): Command =>
  new Command('aicm')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      // Told once, in one form, where all errors are told.
      outputError: () => {},
    })
    .description('Run and watch Claude Code sessions on an AICode Manager server.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help for the program or a command')
    .option('--server <url>', `the server (or AICM_SERVER; default ${defaultServer})`)
    .option('--token <token>', 'an API key or access token (or AICM_TOKEN), instead of aicm login')
    .option('--ca <file>', "trust this authority's certificates (PEM; or NODE_EXTRA_CA_CERTS)")
    .option('--json', 'answer in JSON; errors are JSON on stderr')
    .option('--no-color', 'no colours (or NO_COLOR)')
    .addHelpText('after', examples)

const version = (): string => {
  const file = new URL(
    import.meta.url.endsWith('.ts') ? '../../../package.json' : '../../package.json',
    import.meta.url,
  )
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

const examples = `
Examples:
  aicm up                              start the server
  aicm login                           log in as admin
  aicm run "What is in this folder?"   one prompt, one answer
  git diff | aicm run Review this      with text from stdin
  aicm sessions ls                     what there is
  aicm attach 01k3                     watch a session and talk to it`
