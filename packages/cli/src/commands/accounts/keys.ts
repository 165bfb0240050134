import { permissionsOfRole, routes, type Permission } from '@aicm/protocol'
import { CliError, exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { ago, table } from '../../table.ts'

export const listAll = async (context: Context): Promise<ExitCode> => {
  const { keys } = await (await context.client()).call(routes.keys.list, {})
  if (context.json) context.out.json(keys)
  else if (keys.length === 0) context.err.print('No API keys. Make one: aicm keys create <name>')
  else {
    const rows = keys.map((key) => [
      key.name,
      `${key.prefix}…`,
      key.lastUsedAt === null ? 'never' : ago(key.lastUsedAt),
      key.expiresAt ?? 'never',
      key.permissions.join(','),
    ])
    context.out.print(table(['NAME', 'KEY', 'USED', 'EXPIRES', 'PERMISSIONS'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}

type CreateFlags = { allow?: string[]; days?: number }

/** All that keys can have; which of them one may give is the server's to say. */
const known = permissionsOfRole.admin.filter((permission) => permission !== 'account.write')
/** To work with sessions, and no more. */
const usual: Permission[] = [
  'sessions.read',
  'sessions.write',
  'approvals.write',
  'workspaces.read',
  'workspaces.write',
]

const isKnown = (permission: string): permission is Permission => known.some((one) => one === permission)

export const create = async (context: Context, name: string, { allow, days }: CreateFlags): Promise<ExitCode> => {
  const wanted = allow?.flatMap((text) => text.split(',')) ?? usual
  const unknown = wanted.find((permission) => !isKnown(permission))
  if (unknown !== undefined)
    throw usageError(`"${unknown}" is no permission that a key can have.`, `These are: ${known.join(', ')}.`)
  const permissions = [...new Set(wanted.filter(isKnown))]
  const expiresAt = days === undefined ? undefined : new Date(Date.now() + days * 86_400_000).toISOString()
  const client = await context.client()
  const body = { name, permissions, ...(expiresAt === undefined ? {} : { expiresAt }) }
  const made = await client.call(routes.keys.create, { body })
  if (context.json) context.out.json(made)
  else {
    context.out.print(made.key)
    context.err.print('It is shown only now. Use it as AICM_TOKEN, or as Authorization: Bearer.')
  }
  return exitCodes.ok
}

export const remove = async (context: Context, given: string): Promise<ExitCode> => {
  const client = await context.client()
  const { keys } = await client.call(routes.keys.list, {})
  const found = keys.filter(
    ({ id, name, prefix }) =>
      name === given || id === given || (prefix.length <= given.length && given.startsWith(prefix)),
  )
  const [key] = found
  if (key === undefined)
    throw new CliError({
      code: 'key_not_found',
      message: `There is no API key "${given}".`,
      hint: 'See: aicm keys ls',
      exitCode: exitCodes.failed,
    })
  if (found.length > 1)
    throw usageError(
      `${found.length} keys are called "${given}".`,
      `Say which: ${found.map(({ prefix }) => prefix).join(', ')}`,
    )
  await client.call(routes.keys.delete, { params: { id: key.id } })
  if (context.json) context.out.json({ deleted: key.id })
  else context.out.print(`Deleted ${key.name} (${key.prefix}…).`)
  return exitCodes.ok
}
