import { routes } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { readAll, readNewPassword, readSecret } from '../../read-input.ts'

export const passwd = async (context: Context, { stdin }: { stdin?: boolean }): Promise<ExitCode> => {
  const { currentPassword, newPassword } = await ask(context, stdin === true)
  const client = await context.client()
  await client.call(routes.auth.password, { body: { currentPassword, newPassword } })
  if (context.json) context.out.json({ changed: true })
  else context.out.print('The password is changed. All your other logins have ended.')
  return exitCodes.ok
}

const ask = async ({ io }: Context, fromStdin: boolean): Promise<{ currentPassword: string; newPassword: string }> => {
  if (fromStdin) {
    const [currentPassword = '', newPassword = '', ...more] = ((await readAll(io.stdin)) ?? '')
      .replace(/\r?\n$/, '')
      .split(/\r?\n/)
    if (currentPassword === '' || newPassword === '' || more.length > 0)
      throw usageError('stdin must hold two lines: the current password and the new one.')
    return { currentPassword, newPassword }
  }
  if (io.stdin.isTTY !== true)
    throw usageError('There is no terminal to ask for the passwords on.', 'Give them on stdin, with --stdin.')
  const currentPassword = await readSecret('Current password: ', io.stdin, io.stderr)
  return { currentPassword, newPassword: await readNewPassword(io) }
}
