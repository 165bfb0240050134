import type { CreateSession } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Database } from '../storage/database.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { initialState } from './initial-state.ts'
import { createSession, type Session, type SessionDeps } from './session.ts'

/** All sessions of this node. A session is loaded when it is first asked for. */
export type Registry = {
  create(config: CreateSession & { userId: string; workspaceId: string; oneShot: boolean }): Promise<Session>
  /** Rejects with session_not_found. */
  get(id: string): Promise<Session>
  /** The record without loading the session. */
  peek(id: string): Promise<SessionRecord | undefined>
  delete(id: string): Promise<void>
  /** After a start of the server: takes over what still runs, ends what nobody wants. */
  restore(): Promise<{ adopted: number; swept: number }>
  /** Lets go of all processes; they go on. */
  release(): Promise<void>
}

/** Sessions adopted at once at start: each reads its journal. */
const restoreConcurrency = 16

export const createRegistry = (database: Database, deps: Omit<SessionDeps, 'events'>): Registry => {
  const sessionDeps: SessionDeps = { ...deps, events: database.events }
  const loaded = new Map<string, Promise<Session>>()

  const load = (id: string): Promise<Session> => {
    const known = loaded.get(id)
    if (known !== undefined) return known
    const loading = database.sessions.get(id).then((record) => {
      if (record === undefined) throw new AppError('session_not_found', `There is no session ${id}.`)
      return createSession(record, sessionDeps)
    })
    loaded.set(id, loading)
    loading.catch(() => loaded.delete(id))
    return loading
  }

  return {
    create: async (config) => {
      const now = deps.clock.now()
      const id = newId('ses', now)
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
        state: initialState(newUuid()),
        lastSeq: 0,
        source: null,
        createdAt: now,
        updatedAt: now,
      }
      await database.sessions.create(record)
      const session = createSession(record, sessionDeps)
      loaded.set(id, Promise.resolve(session))
      await session.start()
      return session
    },

    get: load,

    peek: async (id) => {
      const session = await loaded.get(id)
      return session?.record() ?? database.sessions.get(id)
    },

    delete: async (id) => {
      const session = await load(id)
      await session.close('deleted')
      session.forget()
      await session.release()
      loaded.delete(id)
      await database.sessions.delete(id)
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

    release: async () => {
      await Promise.all([...loaded.values()].map(async (session) => (await session).release()))
    },
  }
}
