import type { Client } from '@aicm/client'
import { routes, type Account, type Approval, type Login, type Session, type Workspace } from '@aicm/protocol'
import { CliError, exitCodes, usageError } from './cli-error.ts'

/** What the user calls by its id, or by the beginning of it, with or without the kind (`ses_`). */
const matches = (id: string, given: string): boolean =>
  id.startsWith(given) || id.slice(id.indexOf('_') + 1).startsWith(given)

export const isWhole = (kind: string, id: string): boolean => new RegExp(`^${kind}_[0-9a-hjkmnp-tv-z]{26}$`).test(id)

const onlyOne = <T extends { id: string }>(found: T[], given: string, what: string): T => {
  const [first] = found
  if (first === undefined)
    throw new CliError({
      code: `${what}_not_found`,
      message: `No ${what} begins with "${given}".`,
      hint: what === 'approval' ? 'See: aicm approve' : `See: aicm ${what}s ls`,
      exitCode: exitCodes.failed,
    })
  if (found.length === 1) return first
  const some = found.slice(0, 5).map(({ id }) => id)
  const more = found.length > some.length ? `, and ${found.length - some.length} more` : ''
  throw usageError(
    `"${given}" is the beginning of ${found.length} ${what} ids: ${some.join(', ')}${more}.`,
    'Give more of it.',
  )
}

/** All sessions that match, newest first, up to `limit`. */
export const listSessions = async (
  client: Client,
  filter: { status?: Session['status']; workspaceId?: string } = {},
  limit = Infinity,
): Promise<Session[]> => {
  const all: Session[] = []
  let cursor: string | undefined
  do {
    const page = await client.sessions.list({
      ...filter,
      limit: Math.min(200, limit - all.length),
      ...(cursor === undefined ? {} : { cursor }),
    })
    all.push(...page.sessions)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined && all.length < limit)
  return all
}

export const findSession = async (client: Client, given: string): Promise<Session> => {
  const id = given.toLowerCase()
  if (isWhole('ses', id)) return client.sessions.get(id)
  const all = await listSessions(client)
  return onlyOne(
    all.filter((session) => matches(session.id, id)),
    given,
    'session',
  )
}

/** By name too: names are unique, and what people remember. */
export const findWorkspace = async (client: Client, given: string): Promise<Workspace> => {
  const all = await client.workspaces.list()
  const named = all.find(({ name }) => name === given)
  if (named !== undefined) return named
  return onlyOne(
    all.filter(({ id }) => matches(id, given.toLowerCase())),
    given,
    'workspace',
  )
}

export const findApproval = async (client: Client, given: string): Promise<string> => {
  const id = given.toLowerCase()
  // A whole id goes to the server as it is: it says whether an approval was answered already.
  if (isWhole('apr', id)) return id
  const open: Approval[] = await client.approvals.list()
  return onlyOne(
    open.filter((approval) => matches(approval.id, id)),
    given,
    'approval',
  ).id
}

export const listLogins = async (client: Client): Promise<Login[]> => (await client.call(routes.auth.logins, {})).logins

export const findLogin = async (client: Client, given: string): Promise<Login> =>
  onlyOne(
    (await listLogins(client)).filter(({ id }) => matches(id, given.toLowerCase())),
    given,
    'login',
  )

/** For administrators. */
export const listUsers = async (client: Client): Promise<Account[]> => (await client.call(routes.users.list, {})).users

/** By id or by name, for administrators. An id counts first: somebody may be called like another's. */
export const findUser = async (client: Client, given: string): Promise<Account> => {
  const all = await listUsers(client)
  const wanted = given.toLowerCase()
  const found = all.find(({ id }) => id === wanted) ?? all.find(({ username }) => username.toLowerCase() === wanted)
  if (found !== undefined) return found
  throw new CliError({
    code: 'user_not_found',
    message: `There is no user "${given}".`,
    hint: 'See: aicm users ls',
    exitCode: exitCodes.failed,
  })
}

/** What to call users who are known by their ids: their names, as far as who asks may know them. */
export const userNames = async (client: Client): Promise<(id: string) => string> => {
  const users = await listUsers(client).catch(() => [])
  const names = new Map(users.map(({ id, username }) => [id, username]))
  return (id) => names.get(id) ?? id
}
