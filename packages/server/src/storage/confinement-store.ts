import type { Confinement, ResourceLimitChanges } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'

/** What only the operator decides about the walls around users and workspaces, and what the system knows users by. */
export type ConfinementStore = {
  /** The uid of the operating system that is this user's. */
  getUid(userId: string): Promise<number | undefined>
  /**
   * Gives the user a uid that nobody has had, `first` or the next above all that were given within first..last; one that has
   * a uid keeps it. Rejects with AppError isolation_unavailable when none is left. It stays taken when the user is gone: what is left of
   * their files must not become another's.
   */
  giveUid(userId: string, range: { first: number; last: number }): Promise<number>
  /** Where the limits of the user's sessions differ from the server's. */
  getLimits(userId: string): Promise<ResourceLimitChanges | undefined>
  /** Replaces what was set. */
  setLimits(userId: string, limits: ResourceLimitChanges): Promise<void>
  getWorkspace(workspaceId: string): Promise<Confinement | undefined>
  /** Replaces what was set; it goes with the workspace, which must exist. */
  setWorkspace(workspaceId: string, confinement: Confinement): Promise<void>
}

export const noUidLeft = (first: number, last: number): AppError =>
  new AppError('isolation_unavailable', `All uids from ${first} to ${last} have been given to users.`, {
    hint: 'Have the operator widen --uid-range.',
  })
