import { Option, type Command } from 'commander'
import type { PermissionMode, SessionStatus } from '@aicm/protocol'
import type { Act } from '../../act.ts'
import { positive } from '../../whole-number.ts'

const permissionModes = ['default', 'acceptEdits', 'plan', 'dontAsk'] satisfies PermissionMode[]
const statuses = ['creating', 'idle', 'running', 'error', 'recovering', 'closed'] satisfies SessionStatus[]

/** What is done in sessions and with them. */
export const defineSessions = (program: Command, act: Act): void => {
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
    .action(act(async () => (await import('./run.ts')).run))

  program
    .command('attach')
    .description('show a session from its beginning and follow it; what you type is sent as a prompt')
    .argument('<session>', 'its id, or the beginning of it')
    .addHelpText('after', '\nCtrl-C interrupts a running turn, otherwise it leaves. Leaving ends nothing.')
    .action(act(async () => (await import('./attach.ts')).attach))

  program
    .command('approve')
    .description("answer a tool's permission request; without an id: list the open ones")
    .argument('[approval]', 'its id, or the beginning of it')
    .option('--deny', 'deny it')
    .option('--message <text>', 'why it is denied: the model is told')
    .option('--remember', 'allow the like of it for the rest of the session')
    .action(act(async () => (await import('./approve.ts')).approve))

  program
    .command('interrupt')
    .description('interrupt the running turn of a session')
    .argument('<session>', 'its id, or the beginning of it')
    .action(act(async () => (await import('./interrupt.ts')).interrupt))

  program
    .command('close')
    .description('close a session for good')
    .argument('<session>', 'its id, or the beginning of it')
    .action(act(async () => (await import('./close.ts')).close))

  const sessions = program.command('sessions').description('list, show and delete sessions')
  sessions
    .command('ls', { isDefault: true })
    .description('list your sessions, newest first')
    .addOption(new Option('--status <status>', 'only these').choices(statuses))
    .option('-w, --workspace <id|name>', 'only those in this workspace')
    .addOption(new Option('-n, --limit <number>', 'at most so many').argParser(positive).default(50))
    .action(act(async () => (await import('./sessions.ts')).listAll))
  sessions
    .command('show')
    .description('show a session')
    .argument('<session>', 'its id, or the beginning of it')
    .action(act(async () => (await import('./sessions.ts')).show))
  sessions
    .command('rm')
    .description('delete sessions and their logs; workspaces stay')
    .argument('<session...>', 'their ids, or the beginnings of them')
    .action(act(async () => (await import('./sessions.ts')).remove))

  sessions
    .command('top')
    .description('show what your sessions take of the machine just now, the largest first')
    .action(act(async () => (await import('./top.ts')).top))
}

/** Lets others into sessions and workspaces. */
export const defineShare = (program: Command, act: Act): void => {
  program
    .command('share')
    .description('share a session or a workspace; without a user: list with whom it is shared')
    .argument('<session|workspace>', 'the id of a session, or the beginning of it; with -w: a workspace')
    .argument('[user]', 'a user name')
    .option('-w, --workspace', 'a workspace, and with it all your sessions in it')
    .option('--drive', 'the user may also send prompts and answer permission requests')
    .option('--stop', 'stop sharing it with the user')
    .action(act(async () => (await import('./share.ts')).share))
}
