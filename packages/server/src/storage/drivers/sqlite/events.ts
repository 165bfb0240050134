import type { Message, MessageType } from '@aicm/protocol'
import { checkAppend, findConflict, secondOfTurn, type Stored } from '../../append-checks.ts'
import type { Append, EventStore } from '../../event-store.ts'
import { toApprovalRow, type ApprovalRow } from '../sql/approval-row.ts'
import { toSessionRow, type SessionRow } from '../sql/session-row.ts'
import type { Connection } from './connection.ts'
import { damaged, sqliteErrors } from './sqlite-error.ts'

type EventRow = [seq: number, type: MessageType, turnId: string | null, time: string, data: string]

/** An append as rows. Made when append is called, so what the caller changes afterwards is not stored. */
type Rows = { session: SessionRow; events: EventRow[]; approvals: ApprovalRow[] }

const toRows = ({ record, events }: Append): Rows => ({
  session: toSessionRow(record),
  events: events.map((event) => [event.seq, event.type, event.turnId ?? null, event.time, JSON.stringify(event)]),
  approvals: events.filter((event) => event.type === 'approval').map((event) => toApprovalRow(record, event)),
})

export const createEvents = ({ file, read, write }: Connection): EventStore => {
  const findStored = file.prepare<[string], Stored>(
    'SELECT user_id AS userId, workspace_id AS workspaceId, created_at AS createdAt, last_seq AS lastSeq FROM sessions WHERE id = ?',
  )
  const updateSession = file.prepare<[SessionRow]>(`
    UPDATE sessions SET
      name = @name, name_folded = @name_folded, model = @model, permission_mode = @permission_mode,
      system_prompt = @system_prompt, max_turns = @max_turns, one_shot = @one_shot, status = @status, last_seq = @last_seq,
      source_generation = @source_generation, source_offset = @source_offset, updated_at = @updated_at, state = @state
    WHERE id = @id`)
  const insertEvent = file.prepare<[string, ...EventRow]>(
    'INSERT INTO events (session_id, seq, type, turn_id, time, data) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const upsertApproval = file.prepare<[ApprovalRow]>(`
    INSERT INTO approvals (id, session_id, user_id, turn_id, tool, tool_use_id, input, can_remember, state, created_at)
    VALUES (@id, @session_id, @user_id, @turn_id, @tool, @tool_use_id, @input, @can_remember, @state, @created_at)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state`)
  const readEvents = file.prepare<[string, number, number], { seq: number; json: string | null }>(
    'SELECT seq, CASE WHEN json_valid(data) THEN data END AS json FROM events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?',
  )
  const readText: EventStore['readText'] = async ({ sessionId, after, limit }) =>
    read(() =>
      readEvents.all(sessionId, after, limit).map(({ seq, json }) => {
        if (json === null) throw damaged('an event is no JSON')
        return { seq, json }
      }),
    )
  // The size of a text is known without reading it.
  const countBytes = file.prepare<[string, number], { bytes: number; lastSeq: number | null }>(
    'SELECT coalesce(sum(octet_length(data)), 0) AS bytes, max(seq) AS lastSeq FROM events WHERE session_id = ? AND seq > ?',
  )
  const findPrompt = file
    .prepare<[string, string], string>(
      "SELECT data FROM events WHERE session_id = ? AND turn_id = ? AND type = 'prompt'",
    )
    .pluck()
  const findComplete = file
    .prepare<[string, string], string>(
      "SELECT data FROM events WHERE session_id = ? AND turn_id = ? AND type = 'complete'",
    )
    .pluck()

  const insert = (sessionId: string, event: EventRow): void => {
    try {
      insertEvent.run(sessionId, ...event)
    } catch (error) {
      const [, type, turnId] = event
      if ((type === 'prompt' || type === 'complete') && turnId !== null && sqliteErrors.isTaken(error))
        throw secondOfTurn(type, turnId)
      throw error
    }
  }

  return {
    append: async (append, onWritten) => {
      checkAppend(append)
      const { session, events, approvals } = toRows(append)
      const given = { ...append, record: { ...append.record } }
      await write(() => {
        const conflict = findConflict(given, findStored.get(session.id))
        if (conflict !== undefined) throw conflict
        updateSession.run(session)
        for (const event of events) insert(session.id, event)
        for (const approval of approvals) upsertApproval.run(approval)
      }, onWritten)
    },
    read: async (query) => (await readText(query)).map(({ json }): Message => JSON.parse(json)),
    readText,
    countBytes: async ({ sessionId, after }) => {
      const found = read(() => countBytes.get(sessionId, after))
      return { bytes: found?.bytes ?? 0, lastSeq: found?.lastSeq ?? after }
    },
    findPrompt: async (sessionId, turnId) => {
      const data = read(() => findPrompt.get(sessionId, turnId))
      return data === undefined ? undefined : JSON.parse(data)
    },
    findComplete: async (sessionId, turnId) => {
      const data = read(() => findComplete.get(sessionId, turnId))
      return data === undefined ? undefined : JSON.parse(data)
    },
  }
}
