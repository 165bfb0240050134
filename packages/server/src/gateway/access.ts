import type { IncomingHttpHeaders } from 'node:http'
import type { Permission } from '@aicm/protocol'
import { authorize, type Resource, type Subject } from '../auth/authorize.ts'
import type { Identity } from '../auth/tokens.ts'
import { AppError } from '../lib/app-error.ts'
import type { Session } from '../session/session.ts'
import type { UserRecord } from '../storage/user-store.ts'
import type { Services } from './services.ts'

/** The user of an identity: a token outlives its user's removal, so the user is looked at each time. */
export const userOf = async (services: Services, identity: Identity): Promise<UserRecord> => {
  const user = await services.database.users.get(identity.userId)
  if (user === undefined) throw new AppError('unauthorized', 'This account no longer exists.')
  return user
}

/** The identity that an Authorization header proves. */
export const authenticate = async (services: Services, headers: IncomingHttpHeaders): Promise<Identity> => {
  const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  if (token === undefined) throw new AppError('unauthorized', 'This needs a Bearer token.')
  return services.accessTokens.verify(token)
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

/** The session, if the user may do this with it; another's is answered like one that does not exist. */
export const sessionOf = async (
  services: Services,
  user: UserRecord,
  id: string,
  permission: Permission,
): Promise<Session> => {
  const session = await services.registry.get(id)
  assertMay(user, permission, session.record(), () => new AppError('session_not_found', `There is no session ${id}.`))
  return session
}
