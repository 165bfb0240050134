import type { Database } from '../storage/database.ts'
import type { Act } from './act.ts'
import type { Audit } from './audit.ts'

/**
 * Records what the server has done by itself to what is a user's (null: everybody's), with the name that no request brings along.
 * Never rejects.
 */
export const recordOwnAct = async (
  { audit, users }: { audit: Pick<Audit, 'record'>; users: Pick<Database['users'], 'get'> },
  { userId, ...act }: Pick<Act, 'action' | 'target' | 'detail'> & { userId: string | null },
): Promise<void> => {
  if (userId === null) return audit.record(act)
  const user = await users.get(userId).catch(() => undefined)
  await audit.record({ ...act, userId, ...(user && { username: user.username }) })
}
