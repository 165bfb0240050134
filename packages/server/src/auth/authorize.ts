import { permissionsOfRole, type Permission, type Role } from '@aicm/protocol'

/** Who asks. `scopes` are those of an API key: it may do no more than its owner, and no more than they say. */
export type Subject = { id: string; role: Role; scopes?: readonly Permission[] | undefined }

/** What is asked for: somebody's. `share` is what the subject was given of it. */
export type Resource = { userId: string; share?: 'viewer' | 'driver' | undefined }

/** `hide`: the subject may not know that it exists, and is answered as if it did not. */
export type Verdict = 'allow' | 'deny' | 'hide'

const ofViewer: readonly Permission[] = ['sessions.read', 'workspaces.read', 'files.read']
const ofDriver: readonly Permission[] = [...ofViewer, 'sessions.write', 'approvals.write', 'files.write']

/** The one rule of who may do what. Denied is whatever is not allowed here. */
export const authorize = (subject: Subject, permission: Permission, resource?: Resource): Verdict => {
  const permitted =
    permissionsOfRole[subject.role].includes(permission) && (subject.scopes?.includes(permission) ?? true)
  if (resource === undefined || resource.userId === subject.id) return permitted ? 'allow' : 'deny'
  if (resource.share === undefined) return 'hide'
  const shared = resource.share === 'driver' ? ofDriver : ofViewer
  return permitted && shared.includes(permission) ? 'allow' : 'deny'
}
