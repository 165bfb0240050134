import type { UserRecord } from '../storage/user-store.ts'

/** What belongs to somebody. */
export type Owned = { userId: string }

/** One rule so far: everybody has their own. Another's is answered like one that does not exist. */
export const mayUse = (user: Pick<UserRecord, 'id'>, resource: Owned): boolean => resource.userId === user.id
