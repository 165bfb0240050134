import { exitCodes, usageError, type ExitCode } from '../cli-error.ts'
import type { Context } from '../context.ts'
import type { Io } from '../io.ts'
import { readAll, readSecret } from '../read-input.ts'
import { rememberLogin } from '../stored-login.ts'

export const login = async (
  context: Context,
  { username, passwordStdin }: { username: string; passwordStdin?: boolean },
): Promise<ExitCode> => {
  const server = await context.server()
  const { path } = await context.config()
  const password = await readPassword(context.io, `Password of ${username} at ${server}: `, passwordStdin === true)
  if (password === '') throw usageError('The password is empty.')

  const { login: logIn, storedTokens } = await import('@aicm/client')
  const tokens = await logIn({ url: server, username, password })
  await rememberLogin(path, server, { username, ...storedTokens(tokens) })
  if (context.json) context.out.json({ server, username })
  else context.out.print(`Logged in to ${server} as ${username}.`)
  return exitCodes.ok
}

const readPassword = async (io: Io, question: string, fromStdin: boolean): Promise<string> => {
  // Files and pipes end in a newline that is no part of the password.
  if (fromStdin) return ((await readAll(io.stdin)) ?? '').replace(/\r?\n$/, '')
  if (io.stdin.isTTY === true) return readSecret(question, io.stdin, io.stderr)
  throw usageError('There is no terminal to ask for the password on.', 'Give it on stdin, with --password-stdin.')
}
