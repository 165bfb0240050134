import { Option, type Command } from 'commander'
import type { Role } from '@aicm/protocol'
import type { Act } from '../../act.ts'
import { positive } from '../../whole-number.ts'

const roles = ['admin', 'member', 'viewer'] satisfies Role[]

/** Of who runs the program: log-ins and the password. */
export const defineLogins = (program: Command, act: Act): void => {
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
    .action(act(async () => (await import('./login.ts')).login))

  program
    .command('logout')
    .description('end the login: its tokens are refused from now on')
    .action(act(async () => (await import('./logout.ts')).logout))

  const logins = program.command('logins').description('where you are logged in: list it, and end a login from afar')
  logins
    .command('ls', { isDefault: true })
    .description('list your logins, newest first')
    .action(act(async () => (await import('./logins.ts')).listAll))
  logins
    .command('rm')
    .description('end logins: their tokens are refused from now on')
    .argument('<login...>', 'their ids, or the beginnings of them')
    .action(act(async () => (await import('./logins.ts')).remove))

  program
    .command('passwd')
    .description('change your password; all your other logins end')
    .option('--stdin', 'read two lines from stdin: the current password and the new one')
    .action(act(async () => (await import('./passwd.ts')).passwd))
}

/** Of programs: API keys. */
export const defineKeys = (program: Command, act: Act): void => {
  const keys = program.command('keys').description('API keys for programs: list, make and delete them')
  keys
    .command('ls', { isDefault: true })
    .description('list your API keys')
    .action(act(async () => (await import('./keys.ts')).listAll))
  keys
    .command('create')
    .description('make an API key; it is printed once')
    .argument('<name>', 'what it is for')
    .option('--allow <permission...>', 'what it may do (default: to work with sessions and workspaces)')
    .addOption(new Option('--days <number>', 'it expires after so many days').argParser(positive))
    .action(act(async () => (await import('./keys.ts')).create))
  keys
    .command('rm')
    .description('delete an API key: it is refused from now on')
    .argument('<key>', 'its name, or how it begins')
    .action(act(async () => (await import('./keys.ts')).remove))
}

/** Of everybody, for administrators. */
export const defineUsers = (program: Command, act: Act): void => {
  const users = program.command('users').description('for administrators: list, add, change and remove users')
  users
    .command('ls', { isDefault: true })
    .description('list all users')
    .action(act(async () => (await import('./users.ts')).listAll))
  users
    .command('add')
    .description('add a user, with a one-time password')
    .argument('<name>', 'the user name')
    .addOption(new Option('--role <role>', 'what the user may do').choices(roles).default('member'))
    .action(act(async () => (await import('./users.ts')).add))
  users
    .command('set')
    .description('change a user')
    .argument('<user>', 'name or id')
    .addOption(new Option('--role <role>', 'what the user may do').choices(roles))
    .option('--disable', 'log the user out, and let nobody in')
    .option('--enable', 'let the user in again')
    .option('--reset-password', 'log the user out, and make a one-time password')
    .action(act(async () => (await import('./users.ts')).change))
  users
    .command('rm')
    .description('remove a user: tokens are dead at once, sessions are closed')
    .argument('<user>', 'name or id')
    .option('--purge', 'remove logs, workspaces and files of the user too')
    .action(act(async () => (await import('./users.ts')).remove))
}
