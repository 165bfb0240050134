import type { Client } from '@aicm/client'
import { routes, type ContentBlock } from '@aicm/protocol'
import { describeError, isTransient, type Described } from '../ui/describe-error.ts'

/** A prompt that the server has not confirmed yet. Its id is its turn's, so that sending it again is safe. */
export type Pending = {
  id: string
  sessionId: string
  content: ContentBlock[]
  /** Undefined while it is being sent. */
  failure: Described | undefined
}

export type Outbox = {
  of: (sessionId: string) => readonly Pending[]
  subscribe: (listener: () => void) => () => void
  send: (prompt: { id: string; sessionId: string; content: ContentBlock[] }) => void
  retry: (id: string) => void
  /** Takes a prompt out: because its session's log has it, or because the user wants it back or gone. */
  take: (id: string) => Pending | undefined
  clear: () => void
}

type Options = {
  client: Pick<Client, 'call'>
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  noteError: (error: unknown) => void
  /** Between attempts, in milliseconds. When they are used up the prompt waits for the user. */
  delays?: readonly number[]
}

const key = 'aicm.outbox'
const none: readonly Pending[] = []

export const createOutbox = ({
  client,
  storage,
  noteError,
  delays = [500, 1000, 2000, 4000, 8000],
}: Options): Outbox => {
  const listeners = new Set<() => void>()
  const bySession = new Map<string, readonly Pending[]>()

  const change = (sessionId: string, next: readonly Pending[]) => {
    if (next.length === 0) bySession.delete(sessionId)
    else bySession.set(sessionId, next)
    store(storage, [...bySession.values()].flat())
    for (const listener of listeners) listener()
  }
  const find = (id: string): Pending | undefined => [...bySession.values()].flat().find((pending) => pending.id === id)
  const update = (id: string, failure: Described | undefined) => {
    const sessionId = find(id)?.sessionId
    if (sessionId === undefined) return
    const next = (bySession.get(sessionId) ?? none).map((pending) =>
      pending.id === id ? { ...pending, failure } : pending,
    )
    change(sessionId, next)
  }

  const deliver = async (id: string): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      const pending = find(id)
      if (pending === undefined || pending.failure !== undefined) return
      try {
        const { sessionId, content } = pending
        await client.call(routes.sessions.execute, { params: { id: sessionId }, body: { content, id } })
        // It stays until the log shows it, so that it is on the screen all the time.
        return
      } catch (error) {
        noteError(error)
        const delay = delays[attempt]
        if (!isTransient(error) || delay === undefined) return update(id, describeError(error))
        await new Promise((resolve) => setTimeout(resolve, delay))
      }
    }
  }

  for (const pending of load(storage)) {
    const failure = pending.failure ?? { message: 'The page was reloaded before the server confirmed this prompt.' }
    bySession.set(pending.sessionId, [...(bySession.get(pending.sessionId) ?? none), { ...pending, failure }])
  }

  return {
    of: (sessionId) => bySession.get(sessionId) ?? none,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    send(prompt) {
      change(prompt.sessionId, [...(bySession.get(prompt.sessionId) ?? none), { ...prompt, failure: undefined }])
      void deliver(prompt.id)
    },
    retry(id) {
      if (find(id)?.failure === undefined) return
      update(id, undefined)
      void deliver(id)
    },
    take(id) {
      const taken = find(id)
      if (taken === undefined) return undefined
      change(
        taken.sessionId,
        (bySession.get(taken.sessionId) ?? none).filter((pending) => pending.id !== id),
      )
      return taken
    },
    clear() {
      bySession.clear()
      storage.removeItem(key)
      for (const listener of listeners) listener()
    },
  }
}

const store = (storage: Options['storage'], all: Pending[]) => {
  try {
    if (all.length === 0) storage.removeItem(key)
    else storage.setItem(key, JSON.stringify(all))
  } catch {
    // Images can be larger than the browser's quota; then the prompt is kept in memory only.
    storage.removeItem(key)
  }
}

/** Written by this page only, but perhaps by an older version of it. */
const load = (storage: Options['storage']): Pending[] => {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? '[]')
    return Array.isArray(value) ? value.filter(isPending) : []
  } catch {
    return []
  }
}

const isPending = (value: unknown): value is Pending => {
  if (typeof value !== 'object' || value === null) return false
  const { id, sessionId, content } = value as Record<string, unknown>
  return typeof id === 'string' && typeof sessionId === 'string' && Array.isArray(content)
}
