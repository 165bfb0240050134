import { routes } from '@aicm/protocol'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findLogin, listLogins } from '../../find.ts'
import { ago, table } from '../../table.ts'

export const listAll = async (context: Context): Promise<ExitCode> => {
  const logins = await listLogins(await context.client())
  if (context.json) context.out.json(logins)
  else {
    const rows = logins.map(({ id, agent, current, createdAt, usedAt, expiresAt }) => [
      id,
      ago(createdAt),
      ago(usedAt),
      expiresAt,
      `${agent ?? '-'}${current ? ' (this one)' : ''}`,
    ])
    context.out.print(table(['ID', 'SINCE', 'REFRESHED', 'EXPIRES', 'PROGRAM'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}

export const remove = async (context: Context, given: string[]): Promise<ExitCode> => {
  const client = await context.client()
  // All are found before the first ends, which may be the one that asks.
  const found = await Promise.all(given.map((one) => findLogin(client, one)))
  const logins = [...new Map(found.map((login) => [login.id, login])).values()]
  for (const { id } of logins.sort((one, other) => Number(one.current) - Number(other.current))) {
    await client.call(routes.auth.endLogin, { params: { id } })
    if (context.json) context.out.json({ ended: id })
    else context.out.print(`Ended ${id}.`)
  }
  return exitCodes.ok
}
