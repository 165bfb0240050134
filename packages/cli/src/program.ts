import { readFileSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { PermissionMode, Role, SessionStatus } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from './cli-error.ts'
import type { AuditFlags } from './commands/audit.ts'
import type { SetFlags } from './commands/budgets.ts'
import type { ConfineFlags } from './commands/confine.ts'
import type { AddFlags } from './commands/credentials.ts'
import type { OidcFlags } from './commands/login-oidc.ts'
import type { RunFlags } from './commands/run.ts'
import type { UsageFlags } from './commands/usage.ts'
import { createContext, defaultServer, type Context, type GlobalFlags } from './context.ts'
import type { Io } from './io.ts'
import { failureOf, reportError } from './report-error.ts'
import { createStyle } from './style.ts'

// Each command's module, and with it the client, is loaded when the command runs: `aicm --help` needs neither.

const permissionModes = ['default', 'acceptEdits', 'plan', 'dontAsk'] satisfies PermissionMode[]
const roles = ['admin', 'member', 'viewer'] satisfies Role[]
const statuses = ['creating', 'idle', 'running', 'error', 'recovering', 'closed'] satisfies SessionStatus[]

/** What users may have, of two sorts that are shown and set in the same way. */
const allowances = [
  {
    name: 'quotas',
    what: 'what a user may have at a time, and has',
    examples: 'sessions=20, processes=off, prompts=100, connections=default, bytes=10g',
    load: () => import('./commands/quotas.ts'),
  },
  {
    name: 'limits',
    what: "what each session's process may take of the machine",
    examples: 'memory=4g, cpus=1.5, pids=off, files=1024, processes=default, fileSize=1g, core=0',
    load: () => import('./commands/limits.ts'),
  },
]

/** Runs one command line. Never throws; what went wrong is on stderr and in the exit code. */
export const runCli = async (argv: string[], io: Io): Promise<ExitCode> => {
  // All that follows `up` is the server's own affair, --help too.
  if (argv[0] === 'up') return (await import('./commands/up.ts')).up(io, argv.slice(1))

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

  const program = createProgram(io, async (flags, command) => {
    context = createContext(io, flags)
    if (flags.ca !== undefined) await (await import('./trust-authority.ts')).trustAuthority(flags.ca)
    exitCode = await command(context)
  })
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

type Act = (flags: GlobalFlags, command: (context: Context) => Promise<ExitCode>) => Promise<void>

const createProgram = (io: Io, act: Act): Command => {
  const program = new Command('aicm')
  const start = (command: (context: Context) => Promise<ExitCode>) => act(program.opts<GlobalFlags>(), command)

  program
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

  program
    .command('up')
    .description('start the server in the foreground; takes its flags (see: aicm up --help)')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[flags...]')
    // Reached only when global flags come first: `aicm --json up` has no meaning of its own.
    .action((flags: string[]) => start(async ({ io: own }) => (await import('./commands/up.ts')).up(own, flags)))

  program
    .command('login')
    .description('log in and remember it')
    .option('-u, --username <name>', 'who you are', 'admin')
    .option('--password-stdin', 'read the password from stdin')
    .addOption(
      new Option('--oidc', "log in by the server's OpenID provider, in a browser").conflicts([
        'username',
        'passwordStdin',
      ]),
    )
    .option('--no-browser', 'with --oidc: only print the address, and open no browser')
    .addOption(
      new Option('--timeout <seconds>', 'with --oidc: wait so long for the browser').argParser(positive).default(300),
    )
    .action((options: OidcFlags & { username: string; passwordStdin?: boolean; oidc?: boolean }) =>
      start(async (context) =>
        options.oidc === true
          ? (await import('./commands/login-oidc.ts')).loginByOidc(context, options)
          : (await import('./commands/login.ts')).login(context, options),
      ),
    )

  program
    .command('logout')
    .description('end the login: its tokens are refused from now on')
    .action(() => start(async (context) => (await import('./commands/logout.ts')).logout(context)))

  const logins = program.command('logins').description('where you are logged in: list it, and end a login from afar')
  logins
    .command('ls', { isDefault: true })
    .description('list your logins, newest first')
    .action(() => start(async (context) => (await import('./commands/logins.ts')).listAll(context)))
  logins
    .command('rm')
    .description('end logins: their tokens are refused from now on')
    .argument('<login...>', 'their ids, or the beginnings of them')
    .action((ids: string[]) => start(async (context) => (await import('./commands/logins.ts')).remove(context, ids)))

  program
    .command('passwd')
    .description('change your password; all your other logins end')
    .option('--stdin', 'read two lines from stdin: the current password and the new one')
    .action((options: { stdin?: boolean }) =>
      start(async (context) => (await import('./commands/passwd.ts')).passwd(context, options)),
    )

  program
    .command('run')
    .description('send a prompt and show the answer as it comes; text on stdin is added to it')
    .argument('[prompt...]', 'the prompt')
    .option('-s, --session <id>', 'go on in this session')
    .option('-w, --workspace <id|name>', 'run in this workspace (without it: a new, empty one)')
    .option('-m, --model <model>', 'the model')
    .addOption(new Option('--permission-mode <mode>', 'what claude may do unasked').choices(permissionModes))
    .option('--keep', 'keep the new session open for more prompts')
    .addHelpText(
      'after',
      '\nCtrl-C interrupts the turn, a second Ctrl-C leaves.\nExit code: 0 the turn succeeded, 1 it did not, 2 wrong usage, 3 no server or not logged in, 130 left.',
    )
    .action((words: string[], options: RunFlags) =>
      start(async (context) => (await import('./commands/run.ts')).run(context, words, options)),
    )

  program
    .command('attach')
    .description('show a session from its beginning and follow it; what you type is sent as a prompt')
    .argument('<session>', 'its id, or the beginning of it')
    .addHelpText('after', '\nCtrl-C interrupts a running turn, otherwise it leaves. Leaving ends nothing.')
    .action((id: string) => start(async (context) => (await import('./commands/attach.ts')).attach(context, id)))

  program
    .command('approve')
    .description("answer a tool's permission request; without an id: list the open ones")
    .argument('[approval]', 'its id, or the beginning of it')
    .option('--deny', 'deny it')
    .option('--message <text>', 'why it is denied: the model is told')
    .option('--remember', 'allow the like of it for the rest of the session')
    .action((id: string | undefined, options: { deny?: boolean; message?: string; remember?: boolean }) =>
      start(async (context) => (await import('./commands/approve.ts')).approve(context, id, options)),
    )

  program
    .command('interrupt')
    .description('interrupt the running turn of a session')
    .argument('<session>', 'its id, or the beginning of it')
    .action((id: string) => start(async (context) => (await import('./commands/interrupt.ts')).interrupt(context, id)))

  program
    .command('close')
    .description('close a session for good')
    .argument('<session>', 'its id, or the beginning of it')
    .action((id: string) => start(async (context) => (await import('./commands/close.ts')).close(context, id)))

  const sessions = program.command('sessions').description('list, show and delete sessions')
  sessions
    .command('ls', { isDefault: true })
    .description('list your sessions, newest first')
    .addOption(new Option('--status <status>', 'only these').choices(statuses))
    .option('-w, --workspace <id|name>', 'only those in this workspace')
    .addOption(new Option('-n, --limit <number>', 'at most so many').argParser(positive).default(50))
    .action((options: { status?: SessionStatus; workspace?: string; limit: number }) =>
      start(async (context) => (await import('./commands/sessions.ts')).listAll(context, options)),
    )
  sessions
    .command('show')
    .description('show a session')
    .argument('<session>', 'its id, or the beginning of it')
    .action((id: string) => start(async (context) => (await import('./commands/sessions.ts')).show(context, id)))
  sessions
    .command('rm')
    .description('delete sessions and their logs; workspaces stay')
    .argument('<session...>', 'their ids, or the beginnings of them')
    .action((ids: string[]) => start(async (context) => (await import('./commands/sessions.ts')).remove(context, ids)))

  sessions
    .command('top')
    .description('show what your sessions take of the machine just now, the largest first')
    .action(() => start(async (context) => (await import('./commands/top.ts')).top(context)))

  const workspaces = program.command('workspaces').description('list, create, confine and delete workspaces')
  workspaces
    .command('ls', { isDefault: true })
    .description('list your workspaces')
    .action(() => start(async (context) => (await import('./commands/workspaces.ts')).listAll(context)))
  workspaces
    .command('create')
    .description('create a workspace: empty, a clone, or an existing folder of the server')
    .argument('<name>', 'its name')
    .option('--git <url>', 'clone this repository')
    .option('--branch <branch>', 'of the repository')
    .option('--path <folder>', 'an existing folder inside one of the roots that the operator allows')
    .action((name: string, options: { git?: string; branch?: string; path?: string }) =>
      start(async (context) => (await import('./commands/workspaces.ts')).create(context, name, options)),
    )
  workspaces
    .command('rm')
    .description('delete workspaces and their folders, except folders that were there before')
    .argument('<workspace...>', 'their names or ids')
    .action((names: string[]) =>
      start(async (context) => (await import('./commands/workspaces.ts')).remove(context, names)),
    )

  workspaces
    .command('confine')
    .description('for administrators: set what sessions in a workspace may read and use; without flags: show it')
    .argument('<workspace>', "its name or id; another user's by its id")
    .option('--mount <path...>', 'folders and files of the server that they may read')
    .option('--allow-tool <rule...>', "tools that run unasked, in claude's words: Read, 'Bash(git log:*)'")
    .option('--deny-tool <rule...>', 'tools that do not run at all')
    .option('--clear', 'set nothing but what is given here')
    .addHelpText(
      'after',
      '\nEach list that is given takes the place of the one before. Processes that start later have it.',
    )
    .action((given: string, options: ConfineFlags) =>
      start(async (context) => (await import('./commands/confine.ts')).confine(context, given, options)),
    )

  const files = program.command('files').description('list, get, put and remove files of a workspace')
  const ofWorkspace = (name: string, description: string) =>
    files.command(name).description(description).argument('<workspace>', 'its name or id')
  ofWorkspace('ls', 'list a folder')
    .argument('[path]', 'of the folder, in the workspace')
    .action((workspace: string, path: string | undefined) =>
      start(async (context) => (await import('./commands/files.ts')).list(context, workspace, path)),
    )
  ofWorkspace('get', 'save a file here')
    .argument('<path>', 'of the file, in the workspace')
    .option('-o, --output <file>', 'where to; - prints it (default: its name, in this folder)')
    .option('-f, --force', 'replace a file that is there')
    .action((workspace: string, path: string, options: { output?: string; force?: boolean }) =>
      start(async (context) => (await import('./commands/files.ts')).get(context, { workspace, path }, options)),
    )
  ofWorkspace('put', 'write a file from here')
    .argument('<file>', 'a file of this machine; - reads stdin')
    .argument('[path]', 'in the workspace (default: its name)')
    .option('--new', 'only if there is none of that name')
    .option('--if-match <etag>', 'only if it still has this ETag (see: aicm --json files ls)')
    .action(
      (workspace: string, local: string, path: string | undefined, options: { new?: boolean; ifMatch?: string }) =>
        start(async (context) =>
          (await import('./commands/files.ts')).put(context, { workspace, local, path }, options),
        ),
    )
  ofWorkspace('rm', 'remove files, links and empty folders')
    .argument('<path...>', 'in the workspace')
    .action((workspace: string, paths: string[]) =>
      start(async (context) => (await import('./commands/files.ts')).remove(context, workspace, paths)),
    )
  ofWorkspace('mkdir', 'make a folder')
    .argument('<path>', 'in the workspace')
    .action((workspace: string, path: string) =>
      start(async (context) => (await import('./commands/files.ts')).makeFolder(context, workspace, path)),
    )

  const audit = program.command('audit').description('read, export and check the record of who did what')
  const filtered = (command: Command) =>
    command
      .option('--user <id|name>', 'only what this user did')
      .option('--action <action>', 'only this, e.g. auth.login')
      .option('--target <id>', 'only on this')
      .addOption(new Option('--result <result>', 'only with this result').choices(['ok', 'refused', 'failed']))
      .option('--from <time>', 'not before, e.g. 2026-03-01 or 2026-03-01T12:00:00Z')
      .option('--to <time>', 'not after')
      .addOption(new Option('--after <seq>', 'only entries behind this one').argParser(wholeNumber))
  filtered(audit.command('ls', { isDefault: true }))
    .description('show the newest entries, the newest last')
    .addOption(new Option('-n, --limit <number>', 'at most so many').argParser(positive).default(50))
    .action((options: AuditFlags & { limit: number }) =>
      start(async (context) => (await import('./commands/audit.ts')).list(context, options)),
    )
  filtered(audit.command('export'))
    .description('write all entries to stdout, oldest first')
    .addOption(new Option('--format <format>', 'how').choices(['ndjson', 'csv']).default('ndjson'))
    .action((options: AuditFlags & { format: 'ndjson' | 'csv' }) =>
      start(async (context) => (await import('./commands/audit.ts')).exportAll(context, options)),
    )
  audit
    .command('verify')
    .description('fetch the log and check here that nothing in it was changed (exit code 1: it was)')
    .addOption(
      new Option('--after <seq>', 'check only what follows this entry, and take that one as it is').argParser(
        wholeNumber,
      ),
    )
    .option('--expect <seq:hash>', 'a head that was noted earlier: it must be in the log')
    .option('--file <export>', 'check an export (ndjson) instead, without a server')
    .action((options: { after?: number; expect?: string; file?: string }) =>
      start(async (context) => (await import('./commands/audit-verify.ts')).verify(context, options)),
    )
  audit
    .command('head')
    .description('print where the log ends: keep it elsewhere, for aicm audit verify --expect')
    .action(() => start(async (context) => (await import('./commands/audit.ts')).head(context)))
  const credentials = program.command('credentials').description('list, add and remove credentials for the model API')
  credentials
    .command('ls', { isDefault: true })
    .description('list yours; administrators see the shared ones too')
    .action(() => start(async (context) => (await import('./commands/credentials.ts')).listAll(context)))
  credentials
    .command('add')
    .description('add one; the secret is read from stdin, or typed unseen')
    .addOption(
      new Option('-k, --kind <kind>', 'what it is')
        .choices(['api-key', 'auth-token', 'oauth-token', 'oauth'])
        .default('api-key'),
    )
    .option('-n, --name <name>', 'a name for it')
    .option('--shared', 'it serves the sessions of all users (administrators; not a subscription)')
    .option('--upstream <url>', "where a shared one is sent to, if not to the server's own setting")
    .action((options: AddFlags) =>
      start(async (context) => (await import('./commands/credentials.ts')).add(context, options)),
    )
  credentials
    .command('rm')
    .description('remove credentials')
    .argument('<credential...>', 'their ids')
    .action((ids: string[]) =>
      start(async (context) => (await import('./commands/credentials.ts')).remove(context, ids)),
    )

  program
    .command('usage')
    .description('show what was used of the model API, by default this month')
    .option('--from <day>', 'like 2026-11-01')
    .option('--to <day>', 'this day too')
    .addOption(new Option('--by <group>', 'sums by').choices(['user', 'session', 'model', 'day']).default('day'))
    .option('--all', "everybody's (administrators)")
    .action((options: UsageFlags) =>
      start(async (context) => (await import('./commands/usage.ts')).usage(context, options)),
    )

  const budgets = program.command('budgets').description('show and set what may be spent')
  budgets
    .command('show', { isDefault: true })
    .description('show the budgets that count for you, and what is spent')
    .action(() => start(async (context) => (await import('./commands/budgets.ts')).show(context)))
  budgets
    .command('set')
    .description('set a budget (administrators)')
    .argument('<of>', 'server, everybody (each user), or the name or id of a user')
    .option('--day <budget>', '5usd, 100000tokens, 5usd,100000tokens, or none')
    .option('--month <budget>', 'the same for a month')
    .action((of: string, options: SetFlags) =>
      start(async (context) => (await import('./commands/budgets.ts')).set(context, of, options)),
    )

  for (const { name, what, examples: given, load } of allowances) {
    const group = program.command(name).description(`show and set ${what}`)
    group
      .command('show', { isDefault: true })
      .description(`show ${what}: yours, or a user's (administrators)`)
      .argument('[user]', 'name or id')
      .action((user: string | undefined) => start(async (context) => (await load()).show(context, user)))
    group
      .command('set')
      .description('set some for a user; the others stay (administrators)')
      .argument('<user>', 'name or id')
      .argument('<name=amount...>', given)
      .addHelpText('after', '\noff: no limit. default: as for everybody. Bytes with k, m, g or t.')
      .action((user: string, said: string[]) => start(async (context) => (await load()).set(context, user, said)))
    group
      .command('clear')
      .description('let a user have what everybody has (administrators)')
      .argument('<user>', 'name or id')
      .action((user: string) => start(async (context) => (await load()).clear(context, user)))
  }

  program
    .command('share')
    .description('share a session or a workspace; without a user: list with whom it is shared')
    .argument('<session|workspace>', 'the id of a session, or the beginning of it; with -w: a workspace')
    .argument('[user]', 'a user name')
    .option('-w, --workspace', 'a workspace, and with it all your sessions in it')
    .option('--drive', 'the user may also send prompts and answer permission requests')
    .option('--stop', 'stop sharing it with the user')
    .action(
      (
        target: string,
        username: string | undefined,
        options: { workspace?: boolean; drive?: boolean; stop?: boolean },
      ) =>
        start(async (context) => (await import('./commands/share.ts')).share(context, { target, username }, options)),
    )

  const keys = program.command('keys').description('API keys for programs: list, make and delete them')
  keys
    .command('ls', { isDefault: true })
    .description('list your API keys')
    .action(() => start(async (context) => (await import('./commands/keys.ts')).listAll(context)))
  keys
    .command('create')
    .description('make an API key; it is printed once')
    .argument('<name>', 'what it is for')
    .option('--allow <permission...>', 'what it may do (default: to work with sessions and workspaces)')
    .addOption(new Option('--days <number>', 'it expires after so many days').argParser(positive))
    .action((name: string, options: { allow?: string[]; days?: number }) =>
      start(async (context) => (await import('./commands/keys.ts')).create(context, name, options)),
    )
  keys
    .command('rm')
    .description('delete an API key: it is refused from now on')
    .argument('<key>', 'its name, or how it begins')
    .action((given: string) => start(async (context) => (await import('./commands/keys.ts')).remove(context, given)))

  const users = program.command('users').description('for administrators: list, add, change and remove users')
  users
    .command('ls', { isDefault: true })
    .description('list all users')
    .action(() => start(async (context) => (await import('./commands/users.ts')).listAll(context)))
  users
    .command('add')
    .description('add a user, with a one-time password')
    .argument('<name>', 'the user name')
    .addOption(new Option('--role <role>', 'what the user may do').choices(roles).default('member'))
    .action((name: string, options: { role: Role }) =>
      start(async (context) => (await import('./commands/users.ts')).add(context, name, options)),
    )
  users
    .command('set')
    .description('change a user')
    .argument('<user>', 'name or id')
    .addOption(new Option('--role <role>', 'what the user may do').choices(roles))
    .option('--disable', 'log the user out, and let nobody in')
    .option('--enable', 'let the user in again')
    .option('--reset-password', 'log the user out, and make a one-time password')
    .action((given: string, options: { role?: Role; disable?: boolean; enable?: boolean; resetPassword?: boolean }) =>
      start(async (context) => (await import('./commands/users.ts')).change(context, given, options)),
    )
  users
    .command('rm')
    .description('remove a user: tokens are dead at once, sessions are closed')
    .argument('<user>', 'name or id')
    .option('--purge', 'remove logs, workspaces and files of the user too')
    .action((given: string, options: { purge?: boolean }) =>
      start(async (context) => (await import('./commands/users.ts')).remove(context, given, options)),
    )

  program
    .command('health')
    .description('show what the server runs on, and what is wrong with it (exit code 1)')
    .action(() => start(async (context) => (await import('./commands/health.ts')).health(context)))

  return program
}

const positive = (text: string): number => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number above 0.')
  return number
}

const wholeNumber = (text: string): number => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('It must be a whole number.')
  return number
}

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
