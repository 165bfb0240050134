import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Log } from '../lib/log.ts'
import type { Database } from '../storage/database.ts'

/**
 * How much a user's log, workspaces, home and sessions' folders take, as it was last measured. Asking for it has it measured,
 * now and then.
 */
export type StoredBytes = {
  /** Infinity where it cannot be counted. */
  of(userId: string): number | undefined
  /** So many more than when it was measured. */
  add(userId: string, bytes: number): void
  /** Has it measured as soon as others allow. */
  measure(userId: string): void
  /** Whether the disks have filled by so much since it was measured: nobody's has grown by more. */
  mayHaveGrown(userId: string, bytes: number): Promise<boolean>
}

/** A measurement is good for so long where nobody watches the disks. */
const freshMs = 300_000
const remembered = 10_000
const page = 200
/** All measurements together take at most one in so many seconds. */
const share = 10
/** Below the data folder; an operator may have put each on a disk of its own. */
const places = ['.', 'users', 'sessions', 'workspaces']

type Databases = Pick<Database, 'events' | 'sessions'>

/** One user after the other is measured, in the background. */
export const createStoredBytes = (
  { events, sessions }: Databases,
  options: {
    dataDir: string
    /** See the function of this name. */
    sizeOfFolders(folders: readonly string[], signal: AbortSignal): Promise<number>
    now: () => number
    signal: AbortSignal
    log: Log
  },
): StoredBytes => {
  const { dataDir, sizeOfFolders, now, signal, log } = options
  const measured = new LRUCache<string, { bytes: number; at: number; used: number[] }>({ max: remembered })
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

  const usedOfDisks = (): Promise<number[]> =>
    Promise.all(
      places.map(async (place) => {
        const { bsize, blocks, bfree } = await statfs(join(dataDir, place)).catch(() => statfs(dataDir))
        return (blocks - bfree) * bsize
      }),
    )

  const measure = async (userId: string): Promise<void> => {
    // Before: what is written while it is counted has grown since.
    const used = await usedOfDisks()
    const count = (...folders: string[]): Promise<number> =>
      sizeOfFolders(
        folders.map((folder) => join(dataDir, folder)),
        signal,
      )
    let bytes = await count(`users/${userId}`, `workspaces/${userId}`)
    let before: string | undefined
    do {
      const some = await sessions.list({ userId, limit: page, ...(before === undefined ? {} : { before }) })
      bytes += await count(...some.map(({ id }) => `sessions/${id}`))
      for (const { id } of some) {
        bytes += await sizeOfLog(id)
        // Each count holds the thread: others come between them.
        await new Promise((resolve) => setImmediate(resolve))
      }
      before = some.length < page ? undefined : some.at(-1)?.id
    } while (before !== undefined)
    measured.set(userId, { bytes, at: now(), used })
  }

  const measureInTurn = (userId: string): void => {
    if (waiting.has(userId) || signal.aborted) return
    waiting.add(userId)
    last = last.then(async () => {
      if (signal.aborted) return
      const begun = performance.now()
      try {
        await measure(userId)
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error, userId }, 'what a user has stored could not be measured')
      }
      waiting.delete(userId)
      await delay((performance.now() - begun) * (share - 1), undefined, { ref: false, signal }).catch(() => undefined)
    })
  }

  return {
    of: (userId) => {
      const known = measured.get(userId)
      if (known === undefined || now() - known.at > freshMs) measureInTurn(userId)
      return known?.bytes
    },
    add: (userId, bytes) => {
      const known = measured.get(userId)
      if (known !== undefined) measured.set(userId, { ...known, bytes: Math.max(0, known.bytes + bytes) })
    },
    measure: measureInTurn,
    mayHaveGrown: async (userId, bytes) => {
      const known = measured.get(userId)
      if (known === undefined) return true
      const used = await usedOfDisks()
      const grown = used.reduce((sum, of, place) => sum + Math.max(0, of - (known.used[place] ?? 0)), 0)
      return grown >= bytes
    },
  }
}
