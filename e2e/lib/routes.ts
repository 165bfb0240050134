import { randomUUID } from 'node:crypto'
import { routes, type ErrorCode, type Route } from '@aicm/protocol'

export const allRoutes: Route[] = Object.values(routes).flatMap((group): Route[] => Object.values(group))

/** A body that the route takes, so that what is refused is something else. */
export const validBody = ({ id }: Route): Record<string, unknown> => {
  switch (id) {
    case 'login':
      return { username: 'admin', password: 'wrong' }
    case 'refresh':
      return { refreshToken: 'unknown' }
    case 'oidcFinish':
      return { code: 'unknown' }
    case 'changePassword':
      return { currentPassword: 'wrong', newPassword: 'long enough for anybody' }
    case 'createUser':
      return { username: `u-${randomUUID()}` }
    case 'updateUser':
      return { role: 'member' }
    case 'createKey':
      return { name: 'a key', permissions: ['sessions.read'] }
    case 'shareSession':
    case 'shareWorkspace':
      return { username: 'stranger', access: 'viewer' }
    case 'createWorkspace':
      return { name: `w-${randomUUID()}` }
    case 'setConfinement':
      return { readOnlyMounts: [], allowedTools: [], disallowedTools: [] }
    case 'makeFolder':
      return { path: 'folder' }
    case 'execute':
    case 'executeOnce':
      return { prompt: 'hello' }
    case 'answerApproval':
      return { decision: 'allow' }
    case 'createCredential':
      return { kind: 'api-key', value: 'sk-not-a-real-key' }
    case 'setBudget':
      return { of: 'server', month: { usd: 1_000_000 } }
    default:
      return {}
  }
}

type Kind = 'ses' | 'wsp' | 'apr' | 'usr' | 'key' | 'lgn' | 'crd'

const kindOf = ({ path }: Route): Kind => {
  if (path.startsWith('/v1/workspaces/')) return 'wsp'
  if (path.startsWith('/v1/approvals/')) return 'apr'
  if (path.startsWith('/v1/users/')) return 'usr'
  if (path.startsWith('/v1/keys/')) return 'key'
  if (path.startsWith('/v1/credentials/')) return 'crd'
  return path.startsWith('/v1/auth/logins/') ? 'lgn' : 'ses'
}

const codes: Record<Kind, ErrorCode> = {
  ses: 'session_not_found',
  wsp: 'workspace_not_found',
  apr: 'approval_not_found',
  usr: 'user_not_found',
  key: 'key_not_found',
  lgn: 'login_not_found',
  crd: 'credential_not_found',
}

/** What a route says of an id that does not exist. */
export const notFoundCode = (route: Route): ErrorCode => codes[kindOf(route)]

/** An id of the route's kind that belongs to nothing. */
export const unknownId = (route: Route): string => `${kindOf(route)}_0123456789abcdefghjkmnpqrs`

export const pathWith = ({ path }: Route, id: string): string =>
  path.replace(':id', id).replace(':userId', 'usr_0123456789abcdefghjkmnpqrs')
