import type { CreateSession } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Database } from '../storage/database.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { initialState } from './initial-state.ts'
import { assertCanStart, createSession, type Session, type SessionDeps } from './session.ts'
import { createSlots, type Shortage, type SlotLimits } from './slots.ts'
import { createSpares, type Spare, type SpareKey, type SpareLimits } from './spares.ts'

/** All sessions of this node. A session is loaded when it is first asked for, and unloaded when it rests without a process. */
export type Registry = {
  create(
    config: CreateSession & { userId: string; workspaceId: string; oneShot: boolean },
    /** What `spare` gave. */
    spare?: Spare,
  ): Promise<Session>
  /** A process that was started ahead for a session like this, and has its workspace. */
  spare(config: CreateSession & { userId: string }): Spare | undefined
  /** A spare that no session was made of. */
  discard(spare: Spare): Promise<void>
  /** Ends a user's spares: they were started with what is no longer so. */
  dropSpares(userId: string): void
  /** Rejects with session_not_found. */
  get(id: string): Promise<Session>
  /** The record without loading the session. */
  peek(id: string): Promise<SessionRecord | undefined>
  delete(id: string): Promise<void>
  /** After a start of the server: takes over what still runs, ends what nobody wants. */
  restore(): Promise<{ adopted: number; swept: number }>
  /** After a start, when nobody waits any more: ends and removes what is nobody's. Before the first spare is started. */
  sweepStrays(signal: AbortSignal): Promise<{ ended: number; removed: number }>
  /** Puts resting sessions to sleep, unloads sleeping ones, closes forgotten ones. Called now and then. */
  tidy(): Promise<void>
  /** Ends all processes: turns that run are cut off here, and go on after the next start. */
  stopAll(): Promise<void>
  /** Lets go of all processes; they go on. */
  release(): Promise<void>
  /** Whose sessions have processes. */
  liveUsers(): string[]
  /** Ends all that a user's sessions do. */
  halt(userId: string, why: Parameters<Session['halt']>[0]): Promise<void>
  /** What a user has of it. */
  usageOf(userId: string): { processes: number; queued: number }
  counts(): { loaded: number; spares: number; live: number; starting: number; waiting: number }
}

/** Milliseconds; undefined is never. */
export type RestLimits = {
  /** After which a session's process is ended. */
  idleMs: number | undefined
  /** After which a session is closed. */
  closeMs: number | undefined
  /** A session whose process has said so much gets another when it rests. */
  journalBytes: number
}

export type RegistryDeps = Omit<SessionDeps, 'events' | 'slots'> & {
  spares: SpareLimits
  /** See createSpares. */
  workspaceFor: Parameters<typeof createSpares>[0]['workspace']
  unreserve: Parameters<typeof createSpares>[0]['unreserve']
  slotLimits: SlotLimits
  shortage(): Shortage | undefined
  rest: RestLimits
  /** A session without a process is kept in memory for so long: whoever has just asked for it may still hold it. */
  unloadMs: number
}

const keyOf = (config: CreateSession & { userId: string }): SpareKey => ({
  userId: config.userId,
  workspaceId: config.workspaceId,
  model: config.model ?? null,
  permissionMode: config.permissionMode ?? 'default',
  systemPrompt: config.systemPrompt ?? null,
  maxTurns: config.maxTurns ?? null,
})

type Loaded = { session: Session; askedAt: number }

/** After a start of the machine its clock may be wrong for a while. */
const clockSettlesMs = 15 * 60_000

/** Sessions adopted at once at start: each reads its journal. */
const restoreConcurrency = 16

/** One that stays, as far as is known. */
const hasProcess = ({ state }: SessionRecord): boolean => !['none', 'stopping'].includes(state.process)

export const createRegistry = (database: Database, deps: RegistryDeps): Registry => {
  const begun = { wall: deps.clock.now(), monotonic: performance.now() }
  const loaded = new Map<string, Loaded>()
  const loading = new Map<string, Promise<Session>>()

  /** Asked to sleep, and not yet asleep. */
  const asked = new Set<Session>()

  const hibernatable = (): Session[] =>
    [...loaded.values()]
      .map(({ session }) => session)
      .filter(
        (session) =>
          session.record().state.process === 'ready' && session.idleMs() !== undefined && !asked.has(session),
      )
      .sort((a, b) => (b.idleMs() ?? 0) - (a.idleMs() ?? 0))

  /** Whether its process will end. */
  const hibernate = async (session: Session): Promise<boolean> => {
    asked.add(session)
    try {
      await session.hibernate()
      return session.record().state.process !== 'ready'
    } catch (error) {
      deps.log.warn({ err: error, sessionId: session.record().id }, 'a session could not be put to sleep')
      return false
    } finally {
      asked.delete(session)
    }
  }

  const slots = createSlots({
    limits: deps.slotLimits,
    shortage: deps.shortage,
    makeRoom: (userId) => {
      if (spares.drop(userId)) return Promise.resolve(true)
      const longest = hibernatable().find((session) => userId === undefined || session.record().userId === userId)
      return longest && hibernate(longest)
    },
  })
  const spares = createSpares({
    ...deps,
    limits: deps.spares,
    slots,
    workspace: deps.workspaceFor,
  })
  const sessionDeps: SessionDeps = { ...deps, events: database.events, slots }

  const keep = (session: Session): Session => {
    loaded.set(session.record().id, { session, askedAt: performance.now() })
    return session
  }

  const load = async (id: string): Promise<Session> => {
    const known = loaded.get(id)
    if (known !== undefined) {
      known.askedAt = performance.now()
      return known.session
    }
    const underWay = loading.get(id)
    if (underWay !== undefined) return underWay
    const begun = database.sessions.get(id).then((record) => {
      if (record === undefined) throw new AppError('session_not_found', `There is no session ${id}.`)
      return keep(createSession(record, sessionDeps))
    })
    loading.set(id, begun)
    return begun.finally(() => loading.delete(id))
  }

  const closeForgotten = async (closeMs: number): Promise<void> => {
    const sinceStart = performance.now() - begun.monotonic
    if (sinceStart < Math.min(closeMs, clockSettlesMs)) return
    // By the clock, and by what it said at the start: one that is set, forward or back, does not make all sessions old.
    const now = Math.min(deps.clock.now(), begun.wall + sinceStart)
    for (const { id, state, updatedAt } of await database.sessions.listOpen()) {
      if (state.status !== 'idle' || now - updatedAt < closeMs) continue
      const session = await load(id)
      if (session.followers() > 0) continue
      await session.close('it was not used for a long time')
      deps.onClosed(session.record(), 'unused')
    }
  }

  return {
    create: async (config, spare) => {
      if (spare === undefined) assertCanStart(sessionDeps)
      const now = deps.clock.now()
      const id = spare?.sessionId ?? newId('ses', now)
      const record: SessionRecord = {
        id,
        userId: config.userId,
        workspaceId: config.workspaceId,
        name: config.name ?? `Session ${new Date(now).toISOString().slice(0, 16).replace('T', ' ')}`,
        model: config.model ?? null,
        permissionMode: config.permissionMode ?? 'default',
        systemPrompt: config.systemPrompt ?? null,
        maxTurns: config.maxTurns ?? null,
        oneShot: config.oneShot,
        state: {
          ...initialState(spare?.claudeSessionId ?? newUuid(), config),
          ...(spare === undefined ? {} : { generation: 1, process: 'loading' as const }),
        },
        lastSeq: 0,
        source: null,
        createdAt: now,
        updatedAt: now,
      }
      await database.sessions.create(record)
      const session = keep(createSession(record, sessionDeps))
      if (spare === undefined) await session.start()
      else session.take(spare)
      return session
    },

    spare: (config) => {
      // A group's limits are set before its process is started.
      if (config.limits !== undefined) return undefined
      const key = keyOf(config)
      const spare = spares.take(key)
      spares.want(key)
      return spare
    },
    discard: spares.discard,
    dropSpares: (userId) => {
      while (spares.drop(userId));
    },

    get: load,

    peek: async (id) => loaded.get(id)?.session.record() ?? (await database.sessions.get(id)),

    delete: async (id) => {
      const session = await load(id)
      await session.close('deleted')
      session.forget()
      await session.release()
      // Until it is gone whoever asks for it gets this one, which has ended, and no new one.
      await database.sessions.delete(id)
      loaded.delete(id)
      await deps.processes.sweep((sessionId) => sessionId !== id)
      await deps.processes.removeFiles(session.record())
    },

    restore: async () => {
      const open = await database.sessions.listOpen()
      const ids = new Set(open.map((record) => record.id))
      const swept = await deps.processes.sweep((id) => ids.has(id))
      const busy = open.filter(
        ({ state }) => state.process !== 'none' || state.status !== 'idle' || state.queue.length > 0,
      )
      const waiting = [...busy]
      const worker = async (): Promise<void> => {
        for (let record = waiting.shift(); record !== undefined; record = waiting.shift())
          await (await load(record.id)).restore()
      }
      await Promise.all(Array.from({ length: restoreConcurrency }, worker))
      // Closed before the last server saw the end of their processes.
      for (const id of swept) if ((await database.sessions.get(id)) !== undefined) await (await load(id)).restore()
      return { adopted: busy.length, swept: swept.length }
    },

    sweepStrays: (signal) =>
      deps.processes.sweepStrays(
        async (id) => (loaded.get(id)?.session.record() ?? (await database.sessions.get(id)))?.state.generation,
        signal,
      ),

    tidy: async () => {
      spares.tidy()
      const { rest, unloadMs } = deps
      const { idleMs, closeMs } = rest
      for (const session of hibernatable()) {
        const rests = idleMs !== undefined && (session.idleMs() ?? 0) >= idleMs
        const isLong = (session.record().source?.offset ?? 0) >= rest.journalBytes
        if (rests || isLong || deps.shortage()?.of === 'memory') await hibernate(session)
        else session.checkLiveness()
      }
      const longAgo = performance.now() - unloadMs
      for (const [id, { session, askedAt }] of loaded) {
        const sleeps = session.record().state.process === 'none' && session.followers() === 0
        if (sleeps && (session.idleMs() ?? -1) >= unloadMs && askedAt <= longAgo) loaded.delete(id)
      }
      if (closeMs !== undefined) await closeForgotten(closeMs)
    },

    stopAll: async () => {
      await Promise.all([...loaded.values()].map(({ session }) => session.suspend()))
    },

    release: async () => {
      // They are nobody's: another server would not know what to do with them.
      await spares.endAll()
      await Promise.all([...loaded.values()].map(({ session }) => session.release()))
    },

    liveUsers: () => {
      const records = [...loaded.values()].map(({ session }) => session.record())
      return [...new Set(records.filter(hasProcess).map(({ userId }) => userId))]
    },
    halt: async (userId, why) => {
      const atWork = [...loaded.values()].filter(({ session }) => {
        const record = session.record()
        return record.userId === userId && (record.state.turn !== null || hasProcess(record))
      })
      await Promise.all(atWork.map(({ session }) => session.halt(why)))
    },

    usageOf: (userId) => {
      let queued = 0
      for (const { session } of loaded.values()) {
        const record = session.record()
        if (record.userId === userId) queued += record.state.queue.length
      }
      return { processes: slots.liveOf(userId), queued }
    },
    counts: () => ({ loaded: loaded.size, spares: spares.count(), ...slots.counts() }),
  }
}
