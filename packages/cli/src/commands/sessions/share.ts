import type { Client } from '@aicm/client'
import { routes, type Share } from '@aicm/protocol'
import { CliError, exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession, findWorkspace } from '../../find.ts'
import { ago, table } from '../../table.ts'

type Flags = { workspace?: boolean; drive?: boolean; stop?: boolean }

/** The three things that can be done with the shares of a session or a workspace. */
const sharesOf = async (client: Client, given: string, ofWorkspace: boolean) => {
  if (ofWorkspace) {
    const { id, name } = await findWorkspace(client, given)
    return {
      ...{ id, name },
      list: () => client.call(routes.shares.ofWorkspace, { params: { id } }),
      put: (body: { username: string; access: Share['access'] }) =>
        client.call(routes.shares.shareWorkspace, { params: { id }, body }),
      stop: (userId: string) => client.call(routes.shares.unshareWorkspace, { params: { id, userId } }),
    }
  }
  const { id, name } = await findSession(client, given)
  return {
    ...{ id, name },
    list: () => client.call(routes.shares.ofSession, { params: { id } }),
    put: (body: { username: string; access: Share['access'] }) =>
      client.call(routes.shares.shareSession, { params: { id }, body }),
    stop: (userId: string) => client.call(routes.shares.unshareSession, { params: { id, userId } }),
  }
}

export const share = async (
  context: Context,
  target: string,
  username: string | undefined,
  { workspace, drive, stop }: Flags,
): Promise<ExitCode> => {
  if (username === undefined && (drive === true || stop === true)) throw usageError('With whom?', 'Give a user name.')
  if (drive === true && stop === true) throw usageError('Give --drive or --stop, not both.')
  const shares = await sharesOf(await context.client(), target, workspace === true)

  if (username === undefined) {
    const list = (await shares.list()).shares
    if (context.json) context.out.json(list)
    else if (list.length === 0) context.err.print(`${shares.id} is shared with nobody.`)
    else {
      const rows = list.map((one) => [one.username, one.access, ago(one.createdAt)])
      context.out.print(table(['USER', 'ACCESS', 'SINCE'], rows, context.out.style.bold))
    }
    return exitCodes.ok
  }

  if (stop === true) {
    const found = (await shares.list()).shares.find((one) => one.username.toLowerCase() === username.toLowerCase())
    if (found === undefined)
      throw new CliError({
        code: 'user_not_found',
        message: `${shares.id} is not shared with "${username}".`,
        hint: `See: aicm share ${target}`,
        exitCode: exitCodes.failed,
      })
    await shares.stop(found.userId)
    if (context.json) context.out.json({ stopped: shares.id, userId: found.userId })
    else context.out.print(`${shares.id} is no longer shared with ${found.username}.`)
    return exitCodes.ok
  }

  const made = await shares.put({ username, access: drive === true ? 'driver' : 'viewer' })
  if (context.json) context.out.json({ id: shares.id, ...made })
  else
    context.out.print(
      `${made.username} ${made.access === 'driver' ? 'drives' : 'sees'} ${shares.id}${workspace === true ? ' and all sessions in it' : ''}.`,
    )
  return exitCodes.ok
}
