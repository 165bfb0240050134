import { randomUUID } from 'node:crypto'
import { routes, type ErrorCode, type Route } from '@aicm/protocol'

export const allRoutes: Route[] = Object.values(routes).flatMap((group): Route[] => Object.values(group))

/** A body that the route takes, so that what is refused is something else. */
export const validBody = ({ id }: Route): Record<string, unknown> => {
  switch (id) {
    case 'login':
      return { username: 'admin', password: 'wrong' }
    case 'createWorkspace':
      return { name: `w-${randomUUID()}` }
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

/** What a route says of an id that does not exist. */
export const notFoundCode = ({ tag }: Route): ErrorCode => {
  if (tag === 'workspaces') return 'workspace_not_found'
  if (tag === 'credentials') return 'credential_not_found'
  return tag === 'approvals' ? 'approval_not_found' : 'session_not_found'
}

/** An id of the route's kind that belongs to nothing. */
export const unknownId = ({ tag }: Route): string => {
  const kind = tag === 'workspaces' ? 'wsp' : tag === 'credentials' ? 'crd' : tag === 'approvals' ? 'apr' : 'ses'
  return `${kind}_0123456789abcdefghjkmnpqrs`
}

export const pathWith = ({ path }: Route, id: string): string => path.replace(':id', id)
