import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Message } from '@aicm/protocol'
import { readTranscript, type Said, type Transcript } from '../claude/read-transcript.ts'
import { listTranscripts } from '../claude/transcript.ts'
import { findBreaks } from '../audit/check.ts'
import { newId, newUuid } from '../lib/id.ts'
import { initialState } from '../session/initial-state.ts'
import type { Log } from '../lib/log.ts'
import type { Database } from '../storage/database.ts'
import type { KeyValueStore } from '../storage/key-value-store.ts'
import type { Refill } from '../storage/rescued.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { append, closeTurns, fillGaps, mergeTellings } from './conversation.ts'
import { readJournal, type JournalTelling } from './read-journal.ts'

export type RebuildReport = {
  /** Sessions whose log had holes: they are where they were. */
  mended: number
  /** Sessions made anew from what claude had written, or from events without a session. */
  rebuilt: number
  /** Messages that were put back, and places where one is missing for good. */
  messages: { found: number; lost: number }
  /** Sessions of which there was only a name. */
  lostSessions: string[]
  /** Users who have files here and no account any more, oldest first. */
  lostUsers: string[]
  /** What is left of the audit log, and the first places where entries are missing or are not what was written. */
  audit: { entries: number; breaks: number; first: string[] }
}

const toldBreaks = 20

type Deps = { dataDir: string; kv: KeyValueStore; now: number; log: Log }

const names = (dir: string): Promise<string[]> => readdir(dir).catch(() => [])

/** Reads each transcript once, and only those that are asked for. */
const openTranscripts = async (dataDir: string) => {
  const read = new Map<string, Promise<Transcript>>()
  const found: { userId: string; claudeSessionId: string; path: string }[] = []
  for (const userId of await names(join(dataDir, 'users')))
    for (const each of await listTranscripts(join(dataDir, 'users', userId, 'home'))) found.push({ userId, ...each })
  const open = ({ path, userId }: (typeof found)[number]): Promise<Transcript> => {
    const reading =
      read.get(path) ?? readTranscript(path, userId).catch((): Transcript => ({ cwd: undefined, said: [] }))
    read.set(path, reading)
    return reading
  }
  return {
    all: found,
    open,
    find: (claudeSessionId: string | undefined) => found.find((each) => each.claudeSessionId === claudeSessionId),
    /** The one that knows one of these prompts. */
    findTurn: async (turnIds: Set<string>) => {
      for (const each of found)
        if ((await open(each)).said.some(({ turnId }) => turnId !== undefined && turnIds.has(turnId))) return each
      return undefined
    },
  }
}

/** What a damaged database has lost, from journals, transcripts and the records of running processes. */
export const createRefill =
  ({ dataDir, kv, now, log: serverLog }: Deps): Refill<RebuildReport> =>
  async (database, { incomplete, sessionsLost }) => {
    const transcripts = await openTranscripts(dataDir)
    const report: RebuildReport = {
      mended: 0,
      rebuilt: 0,
      messages: { found: 0, lost: 0 },
      lostSessions: [],
      lostUsers: [],
      audit: await auditLeft(database),
    }
    const sessionDir = (id: string): string => join(dataDir, 'sessions', id)

    /** Of each process whose files are still there, oldest first. */
    const journalsOf = async (id: string, to: SessionRecord['source']) => {
      const generations = (await names(sessionDir(id)))
        .map(Number)
        .filter(Number.isInteger)
        .sort((a, b) => a - b)
      const journals: { generation: number; telling: JournalTelling }[] = []
      for (const generation of generations) {
        // What comes behind is read when the process is taken over.
        const end =
          to === null ? Infinity : generation === to.generation ? to.offset : generation < to.generation ? Infinity : 0
        const telling = await readJournal(sessionDir(id), generation, end).catch(() => undefined)
        if (telling !== undefined) journals.push({ generation, telling })
      }
      return journals
    }

    const store = async (record: SessionRecord, given: Message[]): Promise<void> => {
      const chunk = 500
      // A journal does not say whose prompts it answers.
      const events = given.map((event) =>
        event.type === 'prompt' && event.userId === '' ? { ...event, userId: record.userId } : event,
      )
      await database.sessions.create({ ...record, lastSeq: 0 })
      for (let at = 0; at < events.length; at += chunk) {
        const part = events.slice(at, at + chunk)
        await database.events.append({
          record: { ...record, lastSeq: at + part.length },
          expectedSeq: at,
          events: part,
        })
      }
    }

    const mend = async (record: SessionRecord, events: Message[]): Promise<void> => {
      const transcript = transcripts.find(record.state.claudeSessionId)
      const written = transcript === undefined ? [] : (await transcripts.open(transcript)).said
      const journals = await journalsOf(record.id, record.source ?? { generation: record.state.generation, offset: 0 })
      const telling = mergeTellings(
        written,
        journals.flatMap((journal) => journal.telling.said),
      )
      const lastSeq = Math.max(record.lastSeq, events.at(-1)?.seq ?? 0)
      const whole = fillGaps(events, lastSeq, telling)
      await store({ ...record, lastSeq }, whole.events)
      report.mended++
      report.messages.found += whole.filled
      report.messages.lost += whole.lost
    }

    const workspaceOf = async (userId: string, cwd: string | undefined): Promise<string> => {
      const path = cwd ?? join(dataDir, 'workspaces', userId, 'recovered')
      const known = (await database.workspaces.list(userId)).find((workspace) => workspace.path === path)
      if (known !== undefined) return known.id
      const id = newId('wsp', now)
      const taken = new Set((await database.workspaces.list(userId)).map(({ name }) => name))
      await database.workspaces.create({
        id,
        userId,
        name: taken.has(basename(path)) ? `${basename(path)}-${id.slice(-6)}` : basename(path),
        // What is not below our own folder is never removed with its workspace.
        source: dirname(path) === join(dataDir, 'workspaces', userId) ? 'empty' : 'folder',
        path,
        gitUrl: null,
        status: 'ready',
        error: null,
        createdAt: now,
      })
      return id
    }

    const make = async (id: string, events: Message[], given?: (typeof transcripts.all)[number]): Promise<void> => {
      const journals = await journalsOf(id, null)
      const newest = journals.at(-1)
      const conversation = journals.findLast(({ telling }) => telling.conversation !== undefined)?.telling.conversation
      const turnIds = new Set(
        [...events, ...journals.flatMap(({ telling }) => telling.said)].flatMap(({ turnId }) => turnId ?? []),
      )
      const transcript =
        given ?? transcripts.find(conversation?.claudeSessionId) ?? (await transcripts.findTurn(turnIds))
      const prompt = events.find((event) => event.type === 'prompt')
      const [onlyUser, ...others] = await names(join(dataDir, 'users'))
      const userId = transcript?.userId ?? prompt?.userId ?? (others.length === 0 ? onlyUser : undefined)
      const claudeSessionId = transcript?.claudeSessionId ?? conversation?.claudeSessionId
      if (userId === undefined || (events.length === 0 && claudeSessionId === undefined))
        return void report.lostSessions.push(id)

      const written = transcript === undefined ? undefined : await transcripts.open(transcript)
      const telling = mergeTellings(
        written?.said ?? [],
        journals.flatMap((journal) => journal.telling.said),
      )
      const process = ((await kv.get(`process/${id}`).catch(() => undefined)) ?? undefined) as
        | { generation: number }
        | undefined
      const live = newest !== undefined && process?.generation === newest.generation ? newest.telling : undefined
      const running = live?.running

      const whole = fillGaps(events, events.at(-1)?.seq ?? 0, telling)
      const approvals = (running === undefined ? [] : (live?.approvals ?? [])).map((request) => ({
        ...request,
        approvalId: newId('apr', now),
        answer: null,
      }))
      const asked = approvals.map(({ approvalId, toolUseId, tool, input, suggestions }): Said => ({
        draft: {
          type: 'approval',
          approvalId,
          state: 'pending',
          toolUseId,
          tool,
          input,
          canRemember: suggestions.length > 0,
        },
        turnId: running?.id,
        time: undefined,
      }))
      const log = append(closeTurns(append(whole.events, whole.rest), running?.id), asked)
      const metadata = events.findLast((event) => event.type === 'metadata')
      const cwd = conversation?.cwd ?? written?.cwd ?? metadata?.cwd
      const generation = Math.max(newest?.generation ?? 0, metadata?.generation ?? 0)
      const created = Date.parse(log[0]?.time ?? '') || now
      await store(
        {
          id,
          userId,
          workspaceId: await workspaceOf(userId, cwd),
          name: `Recovered session of ${new Date(created).toISOString().slice(0, 16).replace('T', ' ')}`,
          model: null,
          permissionMode: 'default',
          systemPrompt: null,
          maxTurns: null,
          oneShot: false,
          state: {
            ...initialState(claudeSessionId ?? newUuid()),
            status: running === undefined ? 'idle' : 'running',
            generation,
            process: live === undefined ? 'none' : live.ready ? 'ready' : 'starting',
            resumable: claudeSessionId !== undefined,
            turn:
              running === undefined
                ? null
                : {
                    id: running.id,
                    promptId: running.id,
                    phase: 'started',
                    interrupt: 'none',
                    openTools: running.openTools,
                  },
            approvals,
            turns: log.filter(({ type }) => type === 'complete').length,
          },
          lastSeq: log.length,
          source: live === undefined ? null : { generation, offset: live.end },
          createdAt: created,
          updatedAt: now,
        },
        log,
      )
      report.rebuilt++
      report.messages.found += log.length - events.length - whole.lost
      report.messages.lost += whole.lost
    }

    /** One that cannot be rebuilt keeps none of the others from it. */
    const attempt = async (id: string, work: () => Promise<void>): Promise<void> => {
      try {
        await work()
      } catch (error) {
        serverLog.error({ err: error, sessionId: id }, 'a session could not be rebuilt')
        report.lostSessions.push(id)
      }
    }

    for (const { id, record, events } of incomplete)
      await attempt(id, () => (record === undefined ? make(id, events) : mend(record, events)))
    if (sessionsLost) {
      for (const id of await names(join(dataDir, 'sessions')))
        if ((await database.sessions.get(id)) === undefined && !report.lostSessions.includes(id))
          await attempt(id, () => make(id, []))
      const claimed = await claimedConversations(database, await names(join(dataDir, 'users')))
      for (const each of transcripts.all)
        if (!claimed.has(each.claudeSessionId))
          await attempt(each.claudeSessionId, async () => {
            if ((await transcripts.open(each)).said.length > 0) await make(newId('ses', now), [], each)
          })
    }
    for (const userId of (await names(join(dataDir, 'users'))).sort())
      if ((await database.users.get(userId)) === undefined) report.lostUsers.push(userId)
    return report
  }

const auditLeft = async ({ audit }: Database): Promise<RebuildReport['audit']> => {
  const breaks = await findBreaks(audit)
  return {
    entries: (await audit.readHead()).seq,
    breaks: breaks.length,
    first: breaks.slice(0, toldBreaks).map(({ reason }) => reason),
  }
}

const claimedConversations = async ({ sessions }: Database, userIds: string[]): Promise<Set<string>> => {
  const claimed = new Set<string>()
  for (const userId of userIds)
    for (const { state } of await sessions.list({ userId, limit: 1_000_000_000 })) claimed.add(state.claudeSessionId)
  return claimed
}
