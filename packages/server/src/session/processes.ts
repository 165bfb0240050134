import { readdir, rm, stat, truncate } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { SessionTokens } from '@aicm/broker'
import type { Confinement, ResourceLimits, Resources } from '@aicm/protocol'
import { tightest } from '../config/resource-limits.ts'
import type { Walls } from '../isolation/confine.ts'
import type { SessionWalls } from '../isolation/isolation.ts'
import { markerName, startClaude, type StartClaude } from '../claude/start.ts'
import { findOtherWriter } from '../claude/other-writer.ts'
import { removeTranscript } from '../claude/transcript.ts'
import type { TranscriptState } from '../claude/transcript-check.ts'
import { mendConfig, mendTranscript, type Repair } from '../claude/transcript-repair.ts'
import { AppError } from '../lib/app-error.ts'
import { adopt } from '../process/adopt.ts'
import { makeFifoAhead } from '../process/fifo.ts'
import { groupUsage, killGroup, removeGroup, type Group } from '../process/group.ts'
import { descendantsOf, isAlive, markersIn, readUsage } from '../process/identity.ts'
import { removeTree } from '../process/remove-tree.ts'
import { processFiles, type ProcessRecord, type SessionProcess } from '../process/session-process.ts'
import { killTree, killMarked } from '../process/tree.ts'
import type { Json, KeyValueStore } from '../storage/key-value-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { WorkspaceStore } from '../storage/workspace-store.ts'

/** The processes of this node's sessions: started, found again after a restart of the server, forgotten when they have ended. */
export type RunningProcesses = {
  /**
   * Starts the process of `record.state.generation`. It is on record before this resolves. `path` is the workspace's, where
   * there is none on record yet. `onFound` is called before, with the state of what it will find in its home. Rejects while
   * another process has the conversation open.
   */
  start(record: StartRecord, more?: { path?: string; onFound?: (found: FoundAtStart) => void }): Promise<SessionProcess>
  /** The process that an earlier server started for this generation: running or ended, as long as it is on record. */
  adopt(record: SessionRecord): Promise<{ process: SessionProcess; alive: boolean; checkpoint: number } | undefined>
  /** Remembers from where its journal must be read again after a restart. May be lost: an older one is right too. */
  checkpoint(sessionId: string, generation: number, offset: number): void
  /** Its end is in the log: its files are no longer needed. */
  forget(sessionId: string, process: SessionProcess): Promise<void>
  /** All that a deleted session leaves in the file system, except its workspace. */
  removeFiles(record: SessionRecord): Promise<void>
  /** Its processes, that which still runs too, reach the model API no more. */
  revoke(sessionId: string): void
  /** Ends what is on record for sessions that are closed or gone, and revokes their tokens. Resolves with the ids of those sessions. */
  sweep(isWanted: (sessionId: string) => boolean): Promise<string[]>
  /**
   * Ends processes that are nobody's, because a server died between starting them and writing that down, and removes files
   * that are nobody's any more. `generationOf` tells a session's newest; undefined when there is no such session. Once `signal`
   * is aborted the rest is left to the next start: all but the groups, which are soon done.
   */
  sweepStrays(
    generationOf: (sessionId: string) => Promise<number | undefined>,
    signal: AbortSignal,
  ): Promise<{ ended: number; removed: number }>
  count(): number
  /**
   * Whom a user's next process runs as. Their folders can only be given to another while nothing runs in them: until then the
   * next one is like those that an earlier server has started.
   */
  wallsOf(userId: string): Promise<Walls>
  /** What a session's process has now; undefined where it has none. An older version has not written its limits down. */
  resources(sessionId: string): Promise<(Omit<Resources, 'limits'> & Partial<Resources>) | undefined>
}

/** What a start needs to know of a session. */
export type StartRecord = Pick<
  SessionRecord,
  'id' | 'userId' | 'workspaceId' | 'state' | 'model' | 'permissionMode' | 'systemPrompt' | 'maxTurns'
>

export type FoundAtStart = {
  /** Undefined for a new conversation. */
  transcript: TranscriptState | undefined
  repairs: Repair[]
}

/** What is the same for every start of claude on this server. */
export type ProcessSettings = Pick<StartClaude, 'brokerDir'> & {
  dataDir: string
  /** Looked up at each start: claude may have been installed or moved since the last one. */
  program(): string
  walls: SessionWalls
  /** Resolves when the way to the model API is there. */
  brokerUp(): Promise<unknown>
  /** What the operator has set for the sessions in a workspace. Rejects where that cannot be had any more. */
  confinementOf(workspaceId: string): Promise<Confinement | undefined>
  /** With which sessions reach the model API. */
  tokens: Pick<SessionTokens, 'give' | 'revoke' | 'sessions'>
}

type Owned = { userId: string; sessionId: string; limits: ResourceLimits | undefined }

/** `process/<session>` in the key-value store. */
type StoredProcess = ProcessRecord & { generation: number; writer?: string; limits?: ResourceLimits }

const processKey = (sessionId: string): string => `process/${sessionId}`
/** `writer/<user>/<conversation>`: the one process that may write a transcript, until it is known to have ended. */
type Writer = ProcessRecord & { sessionId: string }

const writerKey = ({ userId, state }: Pick<SessionRecord, 'userId' | 'state'>): string =>
  `writer/${userId}/${state.claudeSessionId}`
/** Only the last lines of what a process says on stderr are ever read. */
const stderrMost = { bytes: 16 * 1024 * 1024, lookEveryMs: 5000 }
/** So much of a journal is read again after a restart rather than its position synced to the disk after each line. */
const checkpointBytes = 2 * 1024 * 1024

const cursorKey = (sessionId: string): string => `cursor/${sessionId}`

const groupResources = (group: Group): Omit<Resources, 'limits'> => ({ source: 'cgroup', ...groupUsage(group) })

/** Where it has no group: what its processes have, each by itself. */
const treeUsage = async ({ identity }: ProcessRecord): Promise<Omit<Resources, 'limits'>> => {
  const pids = isAlive(identity) ? [identity.pid, ...(await descendantsOf(identity.pid))] : []
  const each = pids.map(readUsage).filter((usage) => usage !== undefined)
  const sum = (name: 'memoryBytes' | 'cpuSeconds' | 'threads'): number =>
    each.reduce((total, usage) => total + usage[name], 0)
  return {
    ...{ source: 'proc', memoryBytes: sum('memoryBytes'), cpuSeconds: sum('cpuSeconds') },
    ...{ processes: each.length, tasks: sum('threads'), memoryPeakBytes: null, throttledPeriods: null, oomKills: null },
  }
}

export const createProcesses = (
  kv: KeyValueStore,
  workspaces: WorkspaceStore,
  settings: ProcessSettings,
): RunningProcesses => {
  const running = new Map<SessionProcess, Owned>()
  const checkpoints = new Map<string, { generation: number; offset: number }>()
  const makeFifo = makeFifoAhead(join(settings.dataDir, 'spare.fifo'))
  const sessionDir = (sessionId: string): string => join(settings.dataDir, 'sessions', sessionId)

  const homeOf = ({ userId }: Pick<SessionRecord, 'userId'>): string => join(settings.dataDir, 'users', userId, 'home')

  const track = (process: SessionProcess, of: Owned): SessionProcess => {
    running.set(process, of)
    const trimming = setInterval(() => void trim(processFiles(process.record.dir).stderr), stderrMost.lookEveryMs)
    trimming.unref()
    void process.exited.then(() => {
      clearInterval(trimming)
      running.delete(process)
    })
    return process
  }

  const wallsOf = async (userId: string, own?: SessionRecord['state']['limits']): Promise<Walls> => {
    const given = await settings.walls.of(userId)
    const walls = { ...given, limits: tightest(given.limits, own) }
    for (const [{ record }, of] of running)
      if (of.userId === userId && record.owner?.uid !== walls.owner?.uid) return { ...walls, owner: record.owner }
    return walls
  }

  /** Groups whose process has ended while no server saw it. */
  const sweepGroups = async (generationOf: (sessionId: string) => Promise<number | undefined>): Promise<void> => {
    for (const { name, group } of await settings.walls.staleGroups()) {
      const [sessionId = '', generation] = name.split('.')
      if ([...running.values()].some((of) => of.sessionId === sessionId)) continue
      if ((await generationOf(sessionId)) !== Number(generation)) await killGroup(group)
      await removeGroup(group)
    }
  }

  const letGoOfTranscript = async ({ writer, dir }: StoredProcess): Promise<void> => {
    if (writer === undefined) return
    const now = (await kv.get(writer)) as Writer | undefined
    if (now?.dir === dir) await kv.delete(writer)
  }

  /** It is open for appending: whoever writes goes on at the new end. */
  const trim = async (path: string): Promise<void> => {
    try {
      if ((await stat(path)).size > stderrMost.bytes) await truncate(path)
    } catch {
      // Its process has ended meanwhile, and was forgotten.
    }
  }

  /** Two processes on one transcript fork it, and one of the branches is forgotten. */
  const becomeOnlyWriter = async (record: StartRecord): Promise<void> => {
    const writer = (await kv.get(writerKey(record))) as Writer | undefined
    if (writer?.sessionId === record.id) {
      // Nobody has seen the end of an older generation: what is left of it is heard by nobody any more.
      await killTree(writer)
      if (isAlive(writer.identity))
        throw new Error(`An earlier claude (process ${writer.identity.pid}) cannot be ended.`)
    } else if (writer !== undefined && isAlive(writer.identity))
      throw new Error(`The session ${writer.sessionId} has this conversation open. Close it first.`)
    const other = await findOtherWriter(homeOf(record), record.state.claudeSessionId)
    if (other !== undefined)
      throw new Error(
        `Another claude (process ${other}) has this conversation open. End it, then send the prompt again.`,
      )
  }

  return {
    start: async (record, { path, onFound } = {}) => {
      const [workspace, confinement] = await Promise.all([
        path === undefined ? workspaces.get(record.workspaceId) : { path },
        settings.confinementOf(record.workspaceId),
        settings.brokerUp(),
      ])
      if (workspace === undefined)
        throw new AppError('workspace_not_found', 'The workspace of this session was deleted.')
      const { generation, claudeSessionId, resumable } = record.state
      const home = homeOf(record)
      // Of a conversation that does not begin before this nobody else knows.
      if (resumable || generation > 1) await becomeOnlyWriter(record)
      const config = await mendConfig(home, Date.now())
      const resumed = resumable
        ? await mendTranscript({ home, workspace: workspace.path, claudeSessionId }, Date.now())
        : undefined
      const repairs = [config, resumed?.repair].filter((repair) => repair !== undefined)
      onFound?.({ transcript: resumed?.state, repairs })
      const walls = await wallsOf(record.userId, record.state.limits)
      const started = await startClaude({
        sessionId: record.id,
        generation,
        settings: record,
        conversation: resumable ? { resume: claudeSessionId } : { create: claudeSessionId },
        workspace: workspace.path,
        // Elsewhere whoever works in one folder may have moved another one away.
        exactWorkspace: !workspace.path.startsWith(`${settings.dataDir}${sep}`),
        home,
        sessionDir: sessionDir(record.id),
        program: settings.program(),
        walls,
        give: (path) => settings.walls.give(path, walls.owner),
        accountsDir: settings.walls.accountsDir,
        readOnly: settings.walls.readOnly,
        mounts: confinement?.readOnlyMounts ?? [],
        tools: confinement,
        brokerDir: settings.brokerDir,
        token: settings.tokens.give({ sessionId: record.id, userId: record.userId }),
        makeFifo,
        makeGroup: () => settings.walls.makeGroup(`${record.id}.${generation}`, walls.limits),
      })
      const { limits } = walls
      const stored: StoredProcess = { generation, limits, writer: writerKey(record), ...started.record }
      try {
        await Promise.all([
          kv.put(processKey(record.id), stored as Json),
          kv.put(writerKey(record), { ...started.record, sessionId: record.id } as Json),
        ])
      } catch (error) {
        await started.stop(0)
        await rm(started.record.dir, { recursive: true, force: true })
        throw error
      }
      return track(started, { userId: record.userId, sessionId: record.id, limits })
    },

    adopt: async (record) => {
      const stored = (await kv.get(processKey(record.id))) as StoredProcess | undefined
      if (stored === undefined || stored.generation !== record.state.generation) {
        // The last server died between starting it and writing it down: without its record it cannot be trusted.
        await killMarked(`${markerName}=${record.id}/${record.state.generation}`)
        await rm(join(sessionDir(record.id), String(record.state.generation)), { recursive: true, force: true })
        return undefined
      }
      const cursor = (await kv.get(cursorKey(record.id))) as { generation: number; offset: number } | undefined
      const alive = isAlive(stored.identity)
      // The server that gave it one may have been of a version whose tokens were good for ever.
      settings.tokens.give({ sessionId: record.id, userId: record.userId })
      const { limits } = stored
      return {
        process: track(adopt(stored), { userId: record.userId, sessionId: record.id, limits }),
        alive,
        checkpoint: cursor?.generation === stored.generation ? cursor.offset : 0,
      }
    },

    checkpoint: (sessionId, generation, offset) => {
      const last = checkpoints.get(sessionId) ?? { generation, offset: 0 }
      if (last.generation === generation && offset - last.offset < checkpointBytes) return
      checkpoints.set(sessionId, { generation, offset })
      void kv.put(cursorKey(sessionId), { generation, offset }).catch(() => undefined)
    },

    forget: async (sessionId, process) => {
      checkpoints.delete(sessionId)
      const stored = (await kv.get(processKey(sessionId))) as StoredProcess | undefined
      if (stored?.dir === process.record.dir) {
        await kv.delete(processKey(sessionId))
        await kv.delete(cursorKey(sessionId))
        await letGoOfTranscript(stored)
      }
      await rm(process.record.dir, { recursive: true, force: true })
    },

    removeFiles: async (record) => {
      await removeTree(sessionDir(record.id))
      await kv.delete(writerKey(record))
      await removeTranscript(homeOf(record), record.state.claudeSessionId)
    },

    revoke: settings.tokens.revoke,

    sweep: async (isWanted) => {
      const swept: string[] = []
      for (const sessionId of settings.tokens.sessions()) if (!isWanted(sessionId)) settings.tokens.revoke(sessionId)
      for (const { key, value } of await kv.list('process/')) {
        const sessionId = key.slice('process/'.length)
        if (isWanted(sessionId)) continue
        const stored = value as StoredProcess
        swept.push(sessionId)
        await killTree(stored)
        await letGoOfTranscript(stored)
        await kv.delete(key)
        await kv.delete(cursorKey(sessionId))
        await rm(stored.dir, { recursive: true, force: true })
      }
      return swept
    },

    sweepStrays: async (generationOf, signal) => {
      let [ended, removed] = [0, 0]
      const homes = `HOME=${join(settings.dataDir, 'users')}/`
      const markers = await markersIn(markerName, (environment) => environment.some((text) => text.startsWith(homes)))
      for (const marker of markers) {
        if (signal.aborted) break
        const [sessionId = '', generation] = marker.split('/')
        if ((await generationOf(sessionId)) === Number(generation)) continue
        await killMarked(`${markerName}=${marker}`)
        ended++
      }
      await sweepGroups(generationOf)
      const sessions = join(settings.dataDir, 'sessions')
      for (const sessionId of await readdir(sessions).catch(() => [])) {
        if (signal.aborted) break
        const newest = await generationOf(sessionId)
        const stale =
          newest === undefined
            ? [sessionDir(sessionId)]
            : (await readdir(sessionDir(sessionId)).catch(() => []))
                .filter((name) => /^\d+$/.test(name) && Number(name) < newest)
                .map((name) => join(sessionDir(sessionId), name))
        for (const path of stale) await removeTree(path, { signal })
        removed += stale.length
      }
      return { ended, removed }
    },

    count: () => running.size,
    wallsOf,
    resources: async (sessionId) => {
      const found = [...running].find(([, of]) => of.sessionId === sessionId)
      if (found === undefined) return undefined
      const [{ record }, { limits }] = found
      const usage = record.group === undefined ? await treeUsage(record) : groupResources(record.group)
      return { ...usage, ...(limits === undefined ? {} : { limits }) }
    },
  }
}
