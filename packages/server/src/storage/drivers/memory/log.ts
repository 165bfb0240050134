import type { Message } from '@aicm/protocol'
import { checkAppend, findConflict, secondOfTurn } from '../../append-checks.ts'
import { approvalsIn } from '../../approvals-in.ts'
import type { ApprovalRecord } from '../../approval-store.ts'
import type { Database } from '../../database.ts'
import type { EventQuery } from '../../event-store.ts'
import { isOpen, matchesFilter } from '../../matches-filter.ts'
import type { SessionRecord } from '../../session-store.ts'
import { copy } from './copy.ts'
import { createTable } from './table.ts'

type Turns = { prompt: Set<string>; complete: Set<string> }

/** Sessions, their events and approvals: what one append changes together. */
export const createLog = (): Pick<Database, 'sessions' | 'events' | 'approvals'> => {
  const sessions = createTable<SessionRecord>()
  const approvals = createTable<ApprovalRecord>()
  const logs = new Map<string, Message[]>()
  const turns = new Map<string, Turns>()

  const logOf = (sessionId: string): Message[] => logs.get(sessionId) ?? []
  const turnsOf = (sessionId: string): Turns => turns.get(sessionId) ?? { prompt: new Set(), complete: new Set() }

  /** The turns after these events. */
  const addTurns = (before: Turns, events: Message[]): Turns => {
    const after = { prompt: new Set(before.prompt), complete: new Set(before.complete) }
    for (const { type, turnId } of events) {
      if ((type !== 'prompt' && type !== 'complete') || turnId === undefined) continue
      if (after[type].has(turnId)) throw secondOfTurn(type, turnId)
      after[type].add(turnId)
    }
    return after
  }

  const page = ({ sessionId, after, limit }: EventQuery): Message[] =>
    logOf(sessionId).slice(Math.max(after, 0), Math.max(after, 0) + limit)

  const newestFirst = (records: SessionRecord[]): SessionRecord[] => records.reverse()

  return {
    events: {
      append: async (append, onWritten) => {
        // Whatever can be refused is refused before anything changes.
        checkAppend(append)
        const { record, events } = copy(append)
        const conflict = findConflict(append, sessions.get(record.id))
        if (conflict !== undefined) throw conflict
        const nextTurns = addTurns(turnsOf(record.id), events)

        sessions.update(record.id, record)
        logs.set(record.id, logOf(record.id).concat(events))
        turns.set(record.id, nextTurns)
        for (const approval of approvalsIn(record, events)) {
          if (approvals.get(approval.id) === undefined) approvals.insert(approval)
          else approvals.update(approval.id, { state: approval.state })
        }
        onWritten?.()
      },
      read: async (query) => copy(page(query)),
      readText: async (query) => page(query).map((event) => ({ seq: event.seq, json: JSON.stringify(event) })),
      countBytes: async ({ sessionId, after }) => ({
        bytes: logOf(sessionId)
          .slice(after)
          .reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0),
        lastSeq: Math.max(after, logOf(sessionId).length),
      }),
      findPrompt: async (sessionId, turnId) => {
        const found = logOf(sessionId).find((event) => event.type === 'prompt' && event.turnId === turnId)
        return found?.type === 'prompt' ? copy(found) : undefined
      },
      findComplete: async (sessionId, turnId) => {
        const found = logOf(sessionId).find((event) => event.type === 'complete' && event.turnId === turnId)
        return found?.type === 'complete' ? copy(found) : undefined
      },
    },
    sessions: {
      create: async (record) => sessions.insert(record),
      get: async (id) => sessions.get(id),
      list: async (filter) =>
        newestFirst(sessions.where((record) => matchesFilter(record, filter))).slice(0, filter.limit),
      listOpen: async () => sessions.where(isOpen),
      countOpen: async (workspaceId) =>
        sessions.where((record) => record.workspaceId === workspaceId && isOpen(record)).length,
      countOpenOf: async (userId) => sessions.where((record) => record.userId === userId && isOpen(record)).length,
      counts: async () => ({
        total: sessions.size,
        running: sessions.where((record) => record.state.status === 'running').length,
      }),
      delete: async (id) => {
        sessions.delete(id)
        logs.delete(id)
        turns.delete(id)
        for (const approval of approvals.where((record) => record.sessionId === id)) approvals.delete(approval.id)
      },
    },
    approvals: {
      get: async (id) => approvals.get(id),
      listPending: async ({ userId, sessionId }) =>
        approvals.where(
          (record) =>
            record.userId === userId &&
            record.state === 'pending' &&
            (sessionId === undefined || record.sessionId === sessionId),
        ),
    },
  }
}
