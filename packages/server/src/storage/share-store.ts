import type { Access } from '@aicm/protocol'

/** What a user was given of somebody else's. */
export type ShareRecord = {
  /** The id of a session or a workspace. */
  targetId: string
  userId: string
  access: Access
  createdAt: number
}

export type ShareStore = {
  /** Replaces the one that the user has of the target. Rejects when there is no such user. */
  put(record: ShareRecord): Promise<void>
  /** Of one target, in the order of their users. */
  listOf(targetId: string): Promise<ShareRecord[]>
  /** Of one user, in the order of their targets. */
  listFor(userId: string): Promise<ShareRecord[]>
  delete(targetId: string, userId: string): Promise<void>
  /** For the end of the target. */
  deleteOf(targetId: string): Promise<void>
}
