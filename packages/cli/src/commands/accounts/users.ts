import { routes, type Account, type Role } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findUser, isWhole, listUsers } from '../../find.ts'
import { ago, table } from '../../table.ts'

const stateOf = ({ disabled, mustChangePassword }: Account): string =>
  disabled ? 'disabled' : mustChangePassword ? 'must change password' : 'active'

export const listAll = async (context: Context): Promise<ExitCode> => {
  const users = await listUsers(await context.client())
  if (context.json) context.out.json(users)
  else {
    const rows = users.map((user) => [user.username, user.role, stateOf(user), ago(user.createdAt), user.id])
    context.out.print(table(['NAME', 'ROLE', 'STATE', 'CREATED', 'ID'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}

const tell = (context: Context, user: Account & { password?: string }, what: string): ExitCode => {
  if (context.json) context.out.json(user)
  else {
    context.out.print(`${what} ${user.username} (${user.role}, ${stateOf(user)}).`)
    if (user.password !== undefined)
      context.out.print(
        `One-time password: ${user.password}\nIt is shown only now, and must be changed at the first log-in.`,
      )
  }
  return exitCodes.ok
}

export const add = async (context: Context, username: string, { role }: { role: Role }): Promise<ExitCode> => {
  const client = await context.client()
  return tell(context, await client.call(routes.users.create, { body: { username, role } }), 'Added')
}

type Changes = { role?: Role; disable?: boolean; enable?: boolean; resetPassword?: boolean }

export const change = async (context: Context, given: string, changes: Changes): Promise<ExitCode> => {
  const { role, disable, enable, resetPassword } = changes
  if (disable === true && enable === true) throw usageError('Give --disable or --enable, not both.')
  const body = {
    ...(role === undefined ? {} : { role }),
    ...(disable === true || enable === true ? { disabled: disable === true } : {}),
    ...(resetPassword === true ? { resetPassword: true as const } : {}),
  }
  if (Object.keys(body).length === 0)
    throw usageError('Nothing to change.', 'Give --role, --disable, --enable or --reset-password.')
  const client = await context.client()
  const { id } = await findUser(client, given)
  return tell(context, await client.call(routes.users.update, { params: { id }, body }), 'Changed')
}

export const remove = async (context: Context, given: string, { purge }: { purge?: boolean }): Promise<ExitCode> => {
  const client = await context.client()
  // What a user who was removed before has left is known by its id only.
  const id = purge === true && isWhole('usr', given) ? given : (await findUser(client, given)).id
  await client.call(routes.users.delete, { params: { id }, query: { ...(purge === true ? { purge } : {}) } })
  if (context.json) context.out.json({ deleted: id, purged: purge === true })
  else if (purge === true) context.out.print(`Removed ${given} and all that was theirs.`)
  else
    context.out.print(
      `Removed ${given}. Sessions are closed; logs and files are kept until: aicm users rm --purge ${id}`,
    )
  return exitCodes.ok
}
