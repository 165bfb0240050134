import { AppError } from '../lib/app-error.ts'
import type { Append } from './event-store.ts'
import type { SessionRecord } from './session-store.ts'

/** What every driver checks before it writes: that the log stays gapless and the record agrees with it. */
export const checkAppend = ({ record, expectedSeq, events }: Append): void => {
  const gap = events.find((event, index) => event.seq !== expectedSeq + 1 + index)
  if (gap !== undefined) {
    throw new AppError('internal', `The events of ${record.id} do not follow seq ${expectedSeq} without a gap.`)
  }
  if (record.lastSeq !== expectedSeq + events.length) {
    throw new AppError(
      'internal',
      `The record of ${record.id} says seq ${record.lastSeq}, its events say ${expectedSeq + events.length}.`,
    )
  }
}

/** Of a stored session, what an append is compared with. */
export type Stored = Pick<SessionRecord, 'userId' | 'workspaceId' | 'createdAt' | 'lastSeq'>

/** Why this append cannot follow what is stored; undefined when it can. */
export const findConflict = ({ record, expectedSeq }: Append, stored: Stored | undefined): AppError | undefined => {
  if (stored === undefined) return new AppError('internal', `There is no session ${record.id} to write to.`)
  if (stored.lastSeq !== expectedSeq) {
    return new AppError(
      'internal',
      `Session ${record.id} is at seq ${stored.lastSeq}, not at ${expectedSeq}: something else has written to it.`,
    )
  }
  const moved =
    stored.userId !== record.userId ||
    stored.workspaceId !== record.workspaceId ||
    stored.createdAt !== record.createdAt
  return moved
    ? new AppError('internal', `The user, workspace and creation time of ${record.id} never change.`)
    : undefined
}

export const secondOfTurn = (type: 'prompt' | 'complete', turnId: string): AppError =>
  new AppError('internal', `Turn ${turnId} has its ${type} already.`)
