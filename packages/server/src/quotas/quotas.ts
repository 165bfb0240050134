import { quotaNames, type QuotaChanges, type QuotaName } from '@aicm/protocol'
import type { Quotas } from '../config/quotas.ts'
import { AppError } from '../lib/app-error.ts'
import type { Database } from '../storage/database.ts'
import type { StoredBytes } from './stored-bytes.ts'

type View = Record<QuotaName, { limit: number | null; used: number | null }>

/** What each user may have at a time. What would be more is refused with quota_exceeded. */
export type UserQuotas = {
  view(userId: string): Promise<View>
  /** What differs from the server's. */
  changesOf(userId: string): Promise<QuotaChanges>
  /** Replaces it. */
  set(userId: string, changes: QuotaChanges): Promise<void>
  /** Runs what makes one more session. */
  session<T>(userId: string, create: () => Promise<T>): Promise<T>
  /** Runs what takes one more prompt. */
  prompt<T>(userId: string, take: () => Promise<T>): Promise<T>
  /** Before more is stored. */
  assertBytes(userId: string): Promise<void>
  /** How much more may be stored, as it was last measured; Infinity: as much as they like. */
  bytesLeft(userId: string): Promise<number>
  /** So many more bytes are stored, or fewer: counted at once, not only when they are measured. Refused where it is too much. */
  store(userId: string, bytes: number): Promise<void>
  /** One more WebSocket, event stream or request that waits for a turn, until what is given back is called. */
  connection(userId: string): Promise<() => void>
  /** How many processes a user may have. */
  processes(userId: string): number
}

const words: Readonly<Record<QuotaName, string>> = {
  sessions: 'open sessions',
  processes: 'live processes',
  prompts: 'waiting prompts',
  connections: 'WebSockets, event streams and requests that wait for a turn',
  bytes: 'stored bytes',
}

/** Seconds after which it may be otherwise. */
const retryAfter: Readonly<Record<QuotaName, number>> = {
  sessions: 60,
  processes: 10,
  prompts: 10,
  connections: 30,
  bytes: 600,
}

const assertLess = (name: QuotaName, used: number, limit: number | null): void => {
  if (limit === null || used < limit) return
  const have = Number.isFinite(used) ? used : 'more than can be counted'
  throw new AppError('quota_exceeded', `You may have ${limit} ${words[name]}, and have ${have}.`, {
    retryAfter: retryAfter[name],
  })
}

export const createUserQuotas = async (
  database: Pick<Database, 'quotas' | 'sessions'>,
  options: {
    defaults: Quotas
    usageOf: (userId: string) => { processes: number; queued: number }
    storedBytes: StoredBytes
  },
): Promise<UserQuotas> => {
  const { defaults, usageOf, storedBytes } = options
  /** All of whom something else was set, as there are few: whoever starts processes cannot wait for an answer of the database. */
  const own = new Map<string, Quotas>()
  const note = (userId: string, changes: QuotaChanges): void => void own.set(userId, { ...defaults, ...changes })
  for (const { userId, changes } of await database.quotas.listAll()) note(userId, changes)
  const of = (userId: string): Quotas => own.get(userId) ?? defaults
  /** What is on its way to the disk: it is counted too, else those that come at once would slip past together. */
  const making = new Map<string, number>()
  const taking = new Map<string, number>()
  const connected = new Map<string, number>()

  const add = (counts: Map<string, number>, userId: string, more: number): void => {
    const next = (counts.get(userId) ?? 0) + more
    if (next === 0) counts.delete(userId)
    else counts.set(userId, next)
  }

  const during = async <T>(counts: Map<string, number>, userId: string, run: () => Promise<T>): Promise<T> => {
    add(counts, userId, 1)
    try {
      return await run()
    } finally {
      add(counts, userId, -1)
    }
  }

  const assertBytes: UserQuotas['assertBytes'] = async (userId) => {
    const { bytes } = of(userId)
    const used = storedBytes.of(userId) ?? 0
    if (bytes === null) return
    // They may have made room.
    if (used >= bytes) storedBytes.measure(userId)
    assertLess('bytes', used, bytes)
  }

  return {
    view: async (userId) => {
      const quotas = of(userId)
      const { processes, queued } = usageOf(userId)
      const used: Record<QuotaName, number | null> = {
        sessions: await database.sessions.countOpenOf(userId),
        processes,
        prompts: queued,
        connections: connected.get(userId) ?? 0,
        bytes: storedBytes.of(userId) ?? null,
      }
      return Object.fromEntries(quotaNames.map((name) => [name, { limit: quotas[name], used: used[name] }])) as View
    },
    changesOf: async (userId) => (await database.quotas.get(userId)) ?? {},
    set: async (userId, changes) => {
      await database.quotas.set(userId, changes)
      note(userId, changes)
    },
    session: async (userId, create) => {
      const { sessions } = of(userId)
      await assertBytes(userId)
      if (sessions === null) return create()
      const open = await database.sessions.countOpenOf(userId)
      assertLess('sessions', open + (making.get(userId) ?? 0), sessions)
      return during(making, userId, create)
    },
    prompt: async (userId, take) => {
      const { prompts } = of(userId)
      await assertBytes(userId)
      if (prompts === null) return take()
      assertLess('prompts', usageOf(userId).queued + (taking.get(userId) ?? 0), prompts)
      return during(taking, userId, take)
    },
    assertBytes,
    bytesLeft: async (userId) => (of(userId).bytes ?? Number.POSITIVE_INFINITY) - (storedBytes.of(userId) ?? 0),
    store: async (userId, more) => {
      const { bytes } = of(userId)
      if (bytes !== null && more > 0) assertLess('bytes', (storedBytes.of(userId) ?? 0) + more - 1, bytes)
      storedBytes.add(userId, more)
    },
    connection: async (userId) => {
      const { connections } = of(userId)
      // Nothing is waited for, else those that come at once would slip past together.
      assertLess('connections', connected.get(userId) ?? 0, connections)
      add(connected, userId, 1)
      return () => add(connected, userId, -1)
    },
    processes: (userId) => of(userId).processes ?? Number.POSITIVE_INFINITY,
  }
}
