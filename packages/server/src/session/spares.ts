import { encode } from '../claude/encode.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { SessionProcess } from '../process/session-process.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { initialState } from './initial-state.ts'
import type { RunningProcesses } from './processes.ts'
import type { ProcessSlots, Slot } from './slots.ts'

/** What a process is started with, and what the session that takes it must have asked for. */
export type SpareKey = Pick<SessionRecord, 'userId' | 'model' | 'permissionMode' | 'systemPrompt' | 'maxTurns'> & {
  /** Undefined: a new one. */
  workspaceId: string | undefined
}

/** A folder that is no workspace yet. */
type Reserved = { id: string; name: string; path: string }

/**
 * A process that was started for a session which does not exist yet: its ids are given already, so whoever creates the
 * session takes them over, and nothing about the process has to be changed.
 */
export type Spare = {
  sessionId: string
  claudeSessionId: string
  workspace: Reserved
  process: SessionProcess
  slot: Slot
}

export type Spares = {
  /** The spare that fits, if there is one. It is the caller's then. */
  take(key: SpareKey): Spare | undefined
  /** A session like this was just created: the next one of its kind will find a spare. */
  want(key: SpareKey): void
  /** Ends one, for the sake of something that is wanted now. False when there is none. */
  drop(userId?: string): boolean
  /** Ends those whose kind nobody has asked for lately. */
  tidy(): void
  /** Ends one that was taken in vain. */
  discard(spare: Spare): Promise<void>
  endAll(): Promise<void>
  count(): number
}

export type SpareLimits = {
  /** For each kind of session that was created lately. */
  min: number
  /** Of all kinds together. */
  max: number
  /** After the newest session: its first turn shall have the machine to itself. Milliseconds. */
  delayMs: number
  /** How long a kind counts as asked for lately, in milliseconds. */
  restMs: number
}

const nameOf = (key: SpareKey): string =>
  JSON.stringify([key.userId, key.workspaceId, key.model, key.permissionMode, key.systemPrompt, key.maxTurns])

export const createSpares = (deps: {
  limits: SpareLimits
  processes: RunningProcesses
  slots: Pick<ProcessSlots, 'tryAcquire'>
  /** The folder of a workspace that is there, or a new one. Undefined when it is gone or not ready. */
  workspace(userId: string, id: string | undefined): Promise<Reserved | undefined>
  /** A folder that no workspace was made of. */
  unreserve(workspace: Reserved): Promise<void>
  clock: Clock
  log: Log
}): Spares => {
  const { limits, processes, log } = deps
  const kinds = new Map<string, { key: SpareKey; spares: Spare[]; askedAt: number }>()
  let timer: NodeJS.Timeout | undefined
  let filling: Promise<void> | undefined
  let ended = false

  const count = (): number => [...kinds.values()].reduce((sum, { spares }) => sum + spares.length, 0)

  const isSpare = (spare: Spare): boolean => [...kinds.values()].some(({ spares }) => spares.includes(spare))

  const remove = (spare: Spare): void => {
    for (const kind of kinds.values()) kind.spares = kind.spares.filter((other) => other !== spare)
  }

  const start = async (key: SpareKey): Promise<Spare | undefined> => {
    const slot = deps.slots.tryAcquire(key.userId)
    if (slot === undefined) return undefined
    let workspace: Reserved | undefined
    try {
      workspace = await deps.workspace(key.userId, key.workspaceId)
      if (workspace === undefined) {
        slot.release()
        return undefined
      }
      const sessionId = newId('ses', deps.clock.now())
      const claudeSessionId = newUuid()
      const process = await processes.start(
        {
          ...key,
          id: sessionId,
          workspaceId: workspace.id,
          state: { ...initialState(claudeSessionId), generation: 1 },
        },
        { path: workspace.path },
      )
      const spare: Spare = { sessionId, claudeSessionId, workspace, process, slot }
      await process.write(encode({ kind: 'initialize' }))
      slot.started()
      return spare
    } catch (error) {
      slot.release()
      if (workspace !== undefined && key.workspaceId === undefined)
        await deps.unreserve(workspace).catch(() => undefined)
      throw error
    }
  }

  const end = async (spare: Spare, isNew: boolean): Promise<void> => {
    remove(spare)
    spare.slot.release()
    processes.revoke(spare.sessionId)
    await spare.process.stop(0)
    await processes.forget(spare.sessionId, spare.process)
    if (isNew) await deps.unreserve(spare.workspace)
  }

  const endQuietly = (spare: Spare, isNew: boolean): Promise<void> =>
    end(spare, isNew).catch((error: unknown) => log.warn({ err: error }, 'a spare process was left behind'))

  const fill = async (): Promise<void> => {
    for (const name of [...kinds.keys()]) {
      const wanted = (): boolean => !ended && (kinds.get(name)?.spares.length ?? limits.min) < limits.min
      while (wanted() && count() < limits.max) {
        const kind = kinds.get(name)
        const spare = kind && (await start(kind.key))
        if (spare === undefined) return
        // Its kind may have gone meanwhile.
        const isNew = kind?.key.workspaceId === undefined
        if (!wanted()) return endQuietly(spare, isNew)
        kinds.get(name)?.spares.push(spare)
        // One that dies by itself is not replaced: what ended it may end the next one too.
        void spare.process.exited.then(() => (isSpare(spare) ? endQuietly(spare, isNew) : undefined))
      }
    }
  }

  const fillLater = (): void => {
    clearTimeout(timer)
    if (ended || limits.min === 0) return
    timer = setTimeout(() => {
      filling = (filling ?? Promise.resolve()).then(fill).catch((error: unknown) => {
        log.warn({ err: error }, 'no spare process could be started')
      })
    }, limits.delayMs).unref()
  }

  return {
    take: (key) => kinds.get(nameOf(key))?.spares.shift(),
    want: (key) => {
      const name = nameOf(key)
      const spares = kinds.get(name)?.spares ?? []
      // The newest kind is filled last, and is the last to go.
      kinds.delete(name)
      kinds.set(name, { key, spares, askedAt: performance.now() })
      fillLater()
    },
    drop: (userId) => {
      for (const kind of kinds.values()) {
        if (userId !== undefined && kind.key.userId !== userId) continue
        const spare = kind.spares.shift()
        if (spare === undefined) continue
        void endQuietly(spare, kind.key.workspaceId === undefined)
        return true
      }
      return false
    },
    tidy: () => {
      for (const [name, kind] of kinds) {
        if (performance.now() - kind.askedAt < limits.restMs) continue
        kinds.delete(name)
        for (const spare of kind.spares) void endQuietly(spare, kind.key.workspaceId === undefined)
      }
    },
    // Its workspace may have been made by now.
    discard: (spare) => endQuietly(spare, false),
    endAll: async () => {
      ended = true
      clearTimeout(timer)
      await filling
      const all = [...kinds.values()].flatMap(({ key, spares }) =>
        spares.map((spare) => endQuietly(spare, key.workspaceId === undefined)),
      )
      kinds.clear()
      await Promise.all(all)
    },
    count,
  }
}
