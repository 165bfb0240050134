import { routes } from '@aicm/protocol'
import { CliError, exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import type { Io } from '../../io.ts'
import { readAll, readNewPassword, readSecret } from '../../read-input.ts'
import { rememberLogin } from '../../stored-login.ts'
import type { OidcFlags } from './login-oidc.ts'

type PasswordFlags = { username: string; passwordStdin?: boolean }

export const login = async (
  context: Context,
  { oidc, ...flags }: PasswordFlags & OidcFlags & { oidc?: boolean },
): Promise<ExitCode> =>
  oidc === true ? (await import('./login-oidc.ts')).loginByOidc(context, flags) : loginByPassword(context, flags)

const loginByPassword = async (context: Context, { username, passwordStdin }: PasswordFlags): Promise<ExitCode> => {
  const server = await context.server()
  const { path } = await context.config()
  const password = await readPassword(context.io, `Password of ${username} at ${server}: `, passwordStdin === true)
  if (password === '') throw usageError('The password is empty.')

  const { createClient, login: logIn, storedTokens } = await import('@aicm/client')
  const tokens = await logIn({ url: server, username, password })
  // Before the password is changed, too: with it `aicm passwd` can do that, whatever goes wrong here.
  await rememberLogin(path, server, { username, ...storedTokens(tokens) })
  if (tokens.mustChangePassword) {
    const newPassword = await askForOwn(context.io, passwordStdin === true)
    await using client = createClient({ url: server, token: tokens.accessToken })
    await client.call(routes.auth.password, { body: { currentPassword: password, newPassword } })
  }
  if (context.json) context.out.json({ server, username })
  else context.out.print(`Logged in to ${server} as ${username}.`)
  return exitCodes.ok
}

const askForOwn = async (io: Io, fromStdin: boolean): Promise<string> => {
  if (fromStdin || io.stdin.isTTY !== true)
    throw new CliError({
      code: 'password_change_required',
      message: 'Logged in, but with a password that somebody else has set: it must be changed before anything else.',
      hint: 'Change it: aicm passwd, or aicm passwd --stdin with two lines on stdin, this password and a new one.',
      exitCode: exitCodes.failed,
    })
  io.stderr.write('Somebody else has set this password: choose one of your own.\n')
  return readNewPassword(io)
}

const readPassword = async (io: Io, question: string, fromStdin: boolean): Promise<string> => {
  // Files and pipes end in a newline that is no part of the password.
  if (fromStdin) return ((await readAll(io.stdin)) ?? '').replace(/\r?\n$/, '')
  if (io.stdin.isTTY === true) return readSecret(question, io.stdin, io.stderr)
  throw usageError('There is no terminal to ask for the password on.', 'Give it on stdin, with --password-stdin.')
}
