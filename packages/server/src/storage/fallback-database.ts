import type { Message } from '@aicm/protocol'
import type { AppError } from '../lib/app-error.ts'
import type { Log } from '../lib/log.ts'
import { checkAppend, findConflict, secondOfTurn } from './append-checks.ts'
import type { AppendLog } from './append-log.ts'
import type { ApprovalRecord } from './approval-store.ts'
import { approvalsIn } from './approvals-in.ts'
import { isStorageFailure } from './breaker.ts'
import type { Database } from './database.ts'
import type { Append, EventStore } from './event-store.ts'
import { isOpen, matchesFilter } from './matches-filter.ts'
import { mergeAppends } from './merge-appends.ts'
import type { SessionRecord } from './session-store.ts'

/** A session whose newest appends are in the fallback. The primary has its log up to `base`. */
type Diverted = { base: number; record: SessionRecord; approvals: Map<string, ApprovalRecord> }

export type FallbackOptions = {
  primary: Database
  /** Called before each try to merge; rejects while the primary cannot be used. */
  reopen?: () => Promise<void>
  fallback: AppendLog
  /** Milliseconds between two tries to give the primary what is in the fallback. */
  probeMs: number
  log: Log
}

export type FallbackDatabase = {
  database: Database
  /** Sessions whose newest appends are in the fallback. */
  diverted(): number
}

/**
 * The primary, with appends that it cannot take kept in a fallback until it can. A session in the fallback stays there until
 * all of its appends were merged: once and in order, because the primary takes an append only behind the one before it. Reads
 * see both. Whatever else changes the database is refused while the primary refuses it.
 *
 * What an earlier server left in the fallback is merged before this resolves, if the primary takes it.
 */
export const openFallbackDatabase = async (options: FallbackOptions): Promise<FallbackDatabase> => {
  const { primary, fallback, log } = options
  const diverted = new Map<string, Diverted>()
  const lanes = new Map<string, Promise<unknown>>()
  /** Set when nobody knows whether an append that was acted on will be kept: only a new start can find out. */
  let inDoubt: AppError | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  /** One at a time a session: appends to the fallback, and its merging. */
  const inLane = <T>(sessionId: string, work: () => Promise<T>): Promise<T> => {
    const result = (lanes.get(sessionId) ?? Promise.resolve()).then(work, work)
    lanes.set(sessionId, result)
    const leave = (): void => {
      if (lanes.get(sessionId) === result) lanes.delete(sessionId)
    }
    result.then(leave, leave)
    return result
  }

  const eventsOf = (sessionId: string): Message[] => fallback.of(sessionId).flatMap(({ events }) => events)

  const note = (append: Append): void => {
    const { record } = append
    const entry = diverted.get(record.id) ?? { base: append.expectedSeq, record, approvals: new Map() }
    entry.record = record
    for (const approval of approvalsIn(record, append.events)) {
      const known = entry.approvals.get(approval.id)
      entry.approvals.set(approval.id, known === undefined ? approval : { ...known, state: approval.state })
    }
    diverted.set(record.id, entry)
  }

  const mergeSession = (sessionId: string): Promise<void> =>
    inLane(sessionId, async () => {
      const conflict = await mergeAppends(primary, sessionId, fallback.of(sessionId))
      // From here on the primary has it all. What cannot be removed is found to be there already by the next merge.
      diverted.delete(sessionId)
      if (conflict !== undefined)
        log.error({ sessionId, conflict }, 'what the fallback store has of a session does not fit: it was set aside')
      await (conflict === undefined ? fallback.remove(sessionId) : fallback.setAside(sessionId))
    })

  /** Never rejects: what could not be merged is tried again. */
  const merge = async (): Promise<void> => {
    const sessions = diverted.size
    try {
      await options.reopen?.()
      for (const sessionId of diverted.keys()) await mergeSession(sessionId)
      log.info({ sessions }, 'the fallback store was merged into the database')
    } catch (error) {
      log.warn({ err: error, sessions: diverted.size }, 'the fallback store cannot be merged yet')
    }
    scheduleMerge()
  }

  const scheduleMerge = (): void => {
    if (timer !== undefined || closed || diverted.size === 0 || inDoubt !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      merging = merge()
    }, options.probeMs).unref()
  }
  let merging: Promise<void> | undefined

  const assertTurnsAreNew = async ({ record, events }: Append): Promise<void> => {
    for (const { type, turnId } of events) {
      if ((type !== 'prompt' && type !== 'complete') || turnId === undefined) continue
      const find = type === 'prompt' ? database.events.findPrompt : database.events.findComplete
      const sameTurn = events.filter((event) => event.type === type && event.turnId === turnId)
      if (sameTurn.length > 1 || (await find(record.id, turnId)) !== undefined) throw secondOfTurn(type, turnId)
    }
  }

  /** `written`: the primary has it, but does not vouch for it. Then it must be the same here, whatever the primary says. */
  const divert = async (append: Append, written: boolean, onWritten: () => void): Promise<void> => {
    if (!written) {
      checkAppend(append)
      const stored = diverted.get(append.record.id)?.record ?? (await primary.sessions.get(append.record.id))
      const conflict = findConflict(append, stored)
      if (conflict !== undefined) throw conflict
      await assertTurnsAreNew(append)
    }
    // Who is told that it is written reads it at once.
    await fallback.add(append, () => {
      if (diverted.size === 0) log.error({}, 'the database fails: appends go to the fallback store')
      note(append)
      onWritten()
    })
    scheduleMerge()
  }

  const append: Database['events']['append'] = async (given, onWritten) => {
    if (inDoubt !== undefined) throw inDoubt
    // What the caller changes afterwards is not stored.
    const copy = structuredClone(given)
    const { id } = copy.record
    let written = false
    const tell = (): void => {
      if (!written) onWritten?.()
      written = true
    }
    const keep = async (): Promise<void> => {
      try {
        await divert(copy, written, tell)
      } catch (error) {
        if (written && isStorageFailure(error)) inDoubt = error
        throw error
      }
    }
    const divertAfter = async (error: unknown): Promise<void> => {
      if (!isStorageFailure(error)) throw error
      await keep().catch((cause: unknown) => {
        throw isStorageFailure(cause) ? error : cause
      })
    }
    if (diverted.has(id) || lanes.has(id))
      return inLane(id, () =>
        // Or merged while it waited.
        diverted.has(id) ? keep() : primary.events.append(copy, tell).catch(divertAfter),
      )
    return primary.events.append(copy, tell).catch((error: unknown) => inLane(id, () => divertAfter(error)))
  }

  const read: EventStore['read'] = async ({ sessionId, after, limit }) => {
    const base = diverted.get(sessionId)?.base
    const stored = base === undefined || after < base ? await primary.events.read({ sessionId, after, limit }) : []
    if (base === undefined) return stored
    const before = stored.filter(({ seq }) => seq <= base)
    const rest = eventsOf(sessionId).filter(({ seq }) => seq > Math.max(after, base))
    return [...before, ...rest].slice(0, limit)
  }

  const database: Database = {
    ...primary,
    events: {
      append,
      read,
      readText: async (query) =>
        diverted.has(query.sessionId)
          ? (await read(query)).map((event) => ({ seq: event.seq, json: JSON.stringify(event) }))
          : primary.events.readText(query),
      countBytes: async ({ sessionId, after }) => {
        if (!diverted.has(sessionId)) return primary.events.countBytes({ sessionId, after })
        const events = await read({ sessionId, after, limit: Number.MAX_SAFE_INTEGER })
        const bytes = events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0)
        return { bytes, lastSeq: events.at(-1)?.seq ?? after }
      },
      findPrompt: async (sessionId, turnId) => {
        const found = diverted.has(sessionId)
          ? eventsOf(sessionId).find((event) => event.type === 'prompt' && event.turnId === turnId)
          : undefined
        return found?.type === 'prompt' ? found : primary.events.findPrompt(sessionId, turnId)
      },
      findComplete: async (sessionId, turnId) => {
        const found = diverted.has(sessionId)
          ? eventsOf(sessionId).find((event) => event.type === 'complete' && event.turnId === turnId)
          : undefined
        return found?.type === 'complete' ? found : primary.events.findComplete(sessionId, turnId)
      },
    },
    sessions: {
      ...primary.sessions,
      get: async (id) => diverted.get(id)?.record ?? primary.sessions.get(id),
      list: async (filter) => {
        if (diverted.size === 0) return primary.sessions.list(filter)
        const stored = await primary.sessions.list({ ...filter, limit: filter.limit + diverted.size })
        const here = [...diverted.values()]
          .map(({ record }) => record)
          .filter((record) => matchesFilter(record, filter))
        return [...stored.filter(({ id }) => !diverted.has(id)), ...here]
          .sort((a, b) => (a.id < b.id ? 1 : -1))
          .slice(0, filter.limit)
      },
      listOpen: async () => {
        const stored = await primary.sessions.listOpen()
        const here = [...diverted.values()].map(({ record }) => record).filter(isOpen)
        return [...stored.filter(({ id }) => !diverted.has(id)), ...here].sort((a, b) => (a.id < b.id ? -1 : 1))
      },
      countOpen: async (workspaceId) =>
        diverted.size === 0
          ? primary.sessions.countOpen(workspaceId)
          : (await database.sessions.listOpen()).filter((record) => record.workspaceId === workspaceId).length,
      counts: async () => {
        const counts = await primary.sessions.counts()
        if (diverted.size === 0) return counts
        const open = await database.sessions.listOpen()
        return { ...counts, running: open.filter(({ state }) => state.status === 'running').length }
      },
      delete: (id) =>
        inLane(id, async () => {
          await primary.sessions.delete(id)
          if (diverted.delete(id)) await fallback.remove(id)
        }),
    },
    approvals: {
      get: async (id) => {
        const stored = await primary.approvals.get(id)
        const here = [...diverted.values()].flatMap(({ approvals }) => approvals.get(id) ?? [])[0]
        return here === undefined ? stored : { ...here, ...stored, state: here.state }
      },
      listPending: async (filter) => {
        const stored = await primary.approvals.listPending(filter)
        if (diverted.size === 0) return stored
        const here = [...diverted.values()].flatMap(({ approvals }) => [...approvals.values()])
        const known = new Set(here.map(({ id }) => id))
        const pending = here.filter(
          ({ state, userId, sessionId }) =>
            state === 'pending' &&
            userId === filter.userId &&
            (filter.sessionId === undefined || sessionId === filter.sessionId),
        )
        return [...stored.filter(({ id }) => !known.has(id)), ...pending].sort((a, b) => (a.id < b.id ? -1 : 1))
      },
    },
    [Symbol.asyncDispose]: async () => {
      closed = true
      clearTimeout(timer)
      await merging
      await primary[Symbol.asyncDispose]()
      await fallback[Symbol.asyncDispose]()
    },
  }

  for (const sessionId of fallback.sessionIds()) for (const left of fallback.of(sessionId)) note(left)
  if (diverted.size > 0) await merge()
  return { database, diverted: () => diverted.size }
}
