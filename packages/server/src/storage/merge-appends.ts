import { isDeepStrictEqual } from 'node:util'
import type { Database } from './database.ts'
import type { Append } from './event-store.ts'

/** Events in one transaction at most: the event loop stands still for them. */
const chunkEvents = 500

/** Neighbours as one, so that a long time in the fallback costs few syncs of the disk. */
const inChunks = (appends: Append[]): Append[] => {
  const chunks: Append[] = []
  for (const append of appends) {
    const last = chunks.at(-1)
    if (last !== undefined && last.events.length + append.events.length <= chunkEvents) {
      last.record = append.record
      last.events = last.events.concat(append.events)
    } else chunks.push({ ...append })
  }
  return chunks
}

/**
 * Gives a session's appends to a database that may have the first of them already: a merge that was cut off anywhere can be
 * done again. Resolves with why they do not fit, and has changed nothing then; rejects when the database fails.
 */
export const mergeAppends = async (
  { sessions, events }: Pick<Database, 'sessions' | 'events'>,
  sessionId: string,
  appends: Append[],
): Promise<string | undefined> => {
  const stored = await sessions.get(sessionId)
  const [first, last] = [appends[0], appends.at(-1)]
  if (first === undefined || last === undefined) return undefined
  if (stored === undefined) return 'the session does not exist'
  if (stored.lastSeq < first.expectedSeq)
    return `the database ends at seq ${stored.lastSeq}, these begin behind ${first.expectedSeq}`

  const here = new Map(appends.flatMap((append) => append.events.map((event) => [event.seq, event])))
  const there = await events.read({
    sessionId,
    after: first.expectedSeq,
    limit: Math.max(1, last.record.lastSeq - first.expectedSeq),
  })
  if (there.some((event) => here.has(event.seq) && !isDeepStrictEqual(event, here.get(event.seq))))
    return 'the database has other events at the same positions'

  const missing = appends.filter(({ record }) => record.lastSeq > stored.lastSeq)
  // Only the record has changed behind the last event that is there.
  const changed = appends.findLast(
    ({ record }) => record.lastSeq === stored.lastSeq && record.updatedAt > stored.updatedAt,
  )
  if (changed !== undefined && missing.length === 0)
    missing.push({ record: changed.record, expectedSeq: stored.lastSeq, events: [] })
  if (missing.length > 0 && missing[0]?.expectedSeq !== stored.lastSeq)
    return `the database ends at seq ${stored.lastSeq}, in the middle of one of these`
  for (const chunk of inChunks(missing)) await events.append(chunk)
  return undefined
}
