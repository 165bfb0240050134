import { AppError } from '../lib/app-error.ts'
import type { Append } from './event-store.ts'

/** What every driver checks before it writes: that the log stays gapless and the record agrees with it. */
export const checkAppend = ({ record, expectedSeq, events }: Append): void => {
  const gap = events.find((event, index) => event.seq !== expectedSeq + 1 + index)
  if (gap !== undefined) {
    throw new AppError('internal', `The events of ${record.id} do not follow seq ${expectedSeq} without a gap.`)
  }
  if (record.lastSeq !== expectedSeq + events.length) {
    throw new AppError('internal', `The record of ${record.id} says seq ${record.lastSeq}, its events say ${expectedSeq + events.length}.`)
  }
}

/** `stored` is what the database has as the session's last seq, undefined when it has no such session. */
export const appendConflict = ({ record, expectedSeq }: Append, stored: number | undefined): AppError =>
  new AppError(
    'internal',
    stored === undefined
      ? `There is no session ${record.id} to write to.`
      : `Session ${record.id} is at seq ${stored}, not at ${expectedSeq}: something else has written to it.`,
  )

export const secondOfTurn = (type: 'prompt' | 'complete', turnId: string): AppError =>
  new AppError('internal', `Turn ${turnId} has its ${type} already.`)
