import type { IncomingHttpHeaders } from 'node:http'
import { routes, type Permission, type Route, type SharedBy } from '@aicm/protocol'
import { looksLikeKey } from '../auth/api-keys.ts'
import { authorize, type Resource, type Subject } from '../auth/authorize.ts'
import type { Identity } from '../auth/identity.ts'
import { AppError } from '../lib/app-error.ts'
import type { Session } from '../session/session.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { UserRecord } from '../storage/user-store.ts'
import type { WorkspaceRecord } from '../storage/workspace-store.ts'
import type { Services } from './services.ts'

/** Who asks: a user, and with an API key what it may do at most. */
export type Caller = UserRecord & { scopes?: readonly Permission[] }

const assertStands = (services: Services, { grant }: Identity): void => {
  const gone = grant.kind === 'login' ? services.logins.isRevoked(grant.id) : services.apiKeys.isDeleted(grant.id)
  if (gone)
    throw new AppError('unauthorized', `This ${grant.kind === 'login' ? 'login has ended' : 'API key was deleted'}.`)
}

/** What is left to a login while its user has a password that somebody else has set. */
const withAnyPassword: ReadonlySet<Route | undefined> = new Set([routes.auth.password, routes.auth.logout])

/**
 * The user of an identity, who asks for `route`. A token outlives its login, and its user's removal: both are looked at each
 * time.
 */
export const userOf = async (services: Services, identity: Identity, route?: Route): Promise<Caller> => {
  assertStands(services, identity)
  const user = await services.database.users.get(identity.userId)
  if (user === undefined) throw new AppError('unauthorized', 'This account no longer exists.')
  if (user.disabledAt !== null) throw new AppError('unauthorized', 'This account is disabled.')
  const { grant } = identity
  // A key was made by the user, who had a password of their own then: programs go on.
  if (user.mustChangePassword && grant.kind === 'login' && !withAnyPassword.has(route))
    throw new AppError('password_change_required', 'Somebody else has set your password: change it first.')
  return grant.kind === 'key' ? { ...user, scopes: grant.permissions } : user
}

/** The id, of somebody who is there: for what an administrator sets of a user's. */
export const knownUser = async ({ database }: Services, id: string): Promise<string> => {
  if ((await database.users.get(id)) === undefined) throw new AppError('user_not_found', `There is no user ${id}.`)
  return id
}

/** The identity that an Authorization header proves. */
export const authenticate = async (services: Services, headers: IncomingHttpHeaders): Promise<Identity> => {
  const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  if (token === undefined) throw new AppError('unauthorized', 'This needs a Bearer token.')
  const identity = await (looksLikeKey(token) ? services.apiKeys.verify(token) : services.accessTokens.verify(token))
  assertStands(services, identity)
  return identity
}

/** Throws `unknown` where the subject may not know of the resource, forbidden where it may not do this. */
export const assertMay = (
  subject: Subject,
  permission: Permission,
  resource?: Resource,
  unknown?: () => AppError,
): void => {
  const verdict = authorize(subject, permission, resource)
  if (verdict === 'allow') return
  if (verdict === 'hide' && unknown !== undefined) throw unknown()
  throw new AppError('forbidden', `This needs the permission ${permission}.`)
}

/** Somebody's, with what the caller was given of it. The owner's own costs no look-up. */
const resourceFor = async (
  services: Services,
  user: Caller,
  { userId, ids }: { userId: string; ids: string[] },
): Promise<Resource> =>
  userId === user.id ? { userId } : { userId, share: await services.shares.accessOf(user.id, ids) }

export const sessionResource = (services: Services, user: Caller, record: SessionRecord): Promise<Resource> =>
  resourceFor(services, user, { userId: record.userId, ids: [record.id, record.workspaceId] })

/** The session, if the user may do this with it; another's is answered like one that does not exist. */
export const sessionOf = async (
  services: Services,
  user: Caller,
  id: string,
  permission: Permission,
): Promise<Session> => {
  const session = await services.registry.get(id)
  assertMay(
    user,
    permission,
    await sessionResource(services, user, session.record()),
    () => new AppError('session_not_found', `There is no session ${id}.`),
  )
  return session
}

/** The workspace, in the same way. */
export const workspaceOf = async (
  services: Services,
  user: Caller,
  id: string,
  permission: Permission,
): Promise<WorkspaceRecord> => {
  const unknown = (): AppError => new AppError('workspace_not_found', `There is no workspace ${id}.`)
  const record = await services.database.workspaces.get(id)
  if (record === undefined) throw unknown()
  assertMay(user, permission, await resourceFor(services, user, { userId: record.userId, ids: [id] }), unknown)
  return record
}

/** In a view of what is somebody else's: whose, and what the caller may do with it. Null for one's own. */
export const ownerFor = async (
  services: Services,
  user: Caller,
  { userId, ids }: { userId: string; ids: string[] },
): Promise<SharedBy | null> => {
  const { share } = await resourceFor(services, user, { userId, ids })
  if (share === undefined) return null
  const owner = await services.database.users.get(userId)
  return { id: userId, username: owner?.username ?? 'removed', access: share }
}
