import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import type { Log } from '../lib/log.ts'
import type { Database } from '../storage/database.ts'

/** How much a user's log and workspaces take, as it was last measured. Asking for it has it measured, now and then. */
export type StoredBytes = {
  of(userId: string): number | undefined
  /** So many more than when it was measured. */
  add(userId: string, bytes: number): void
}

/** A measurement is good for so long: it walks through all of a user's files. */
const freshMs = 300_000
const remembered = 10_000
/** Files in one folder tree that are counted; more are not looked at. */
const mostFiles = 500_000
const page = 200

type Databases = Pick<Database, 'events' | 'sessions' | 'workspaces'>

/** The space that a folder takes on the disk; links are not followed, and what goes away meanwhile is nothing. */
export const sizeOfFolder = async (folder: string): Promise<number> => {
  let bytes = 0
  let files = 0
  const folders = [folder]
  for (let next = folders.pop(); next !== undefined && files < mostFiles; next = folders.pop()) {
    const entries = await opendir(next).catch(() => undefined)
    if (entries === undefined) continue
    for await (const entry of entries) {
      const path = join(next, entry.name)
      const found = await lstat(path).catch(() => undefined)
      bytes += (found?.blocks ?? 0) * 512
      files++
      if (entry.isDirectory()) folders.push(path)
    }
  }
  return bytes
}

/** One user after the other is measured, in the background. */
export const createStoredBytes = (
  { events, sessions, workspaces }: Databases,
  { now, log }: { now: () => number; log: Log },
): StoredBytes => {
  const measured = new LRUCache<string, { bytes: number; at: number }>({ max: remembered })
  /** What a session's log took up to a seq: only what has come since is counted. */
  const logs = new LRUCache<string, { bytes: number; lastSeq: number }>({ max: remembered })
  const waiting = new Set<string>()
  let last: Promise<void> = Promise.resolve()

  const sizeOfLog = async (sessionId: string): Promise<number> => {
    const before = logs.get(sessionId) ?? { bytes: 0, lastSeq: 0 }
    const more = await events.countBytes({ sessionId, after: before.lastSeq })
    const size = { bytes: before.bytes + more.bytes, lastSeq: more.lastSeq }
    logs.set(sessionId, size)
    return size.bytes
  }

  const measure = async (userId: string): Promise<void> => {
    let bytes = 0
    let before: string | undefined
    do {
      const some = await sessions.list({ userId, limit: page, ...(before === undefined ? {} : { before }) })
      for (const { id } of some) {
        bytes += await sizeOfLog(id)
        // Each count holds the thread: others come between them.
        await new Promise((resolve) => setImmediate(resolve))
      }
      before = some.length < page ? undefined : some.at(-1)?.id
    } while (before !== undefined)
    for (const { source, path } of await workspaces.list(userId))
      if (source !== 'folder') bytes += await sizeOfFolder(path)
    measured.set(userId, { bytes, at: now() })
  }

  return {
    of: (userId) => {
      const known = measured.get(userId)
      if ((known === undefined || now() - known.at > freshMs) && !waiting.has(userId)) {
        waiting.add(userId)
        last = last
          .then(() => measure(userId))
          .catch((error: unknown) => log.warn({ err: error, userId }, 'what a user has stored could not be measured'))
          .finally(() => waiting.delete(userId))
      }
      return known?.bytes
    },
    add: (userId, bytes) => {
      const known = measured.get(userId)
      if (known !== undefined) measured.set(userId, { ...known, bytes: Math.max(0, known.bytes + bytes) })
    },
  }
}
