import { foldCase } from '../../fold-case.ts'
import type { SessionFilter, SessionStore } from '../../session-store.ts'
import { fromSessionRow, toSessionRow, type SessionRow } from '../sql/session-row.ts'
import type { Connection } from './connection.ts'

type ListParameters = {
  userId: string
  limit: number
  status?: string
  workspaceId?: string
  text?: string
  before?: string
}

const listSql = ({ status, workspaceId, text, before }: SessionFilter): string =>
  [
    'SELECT * FROM sessions WHERE user_id = @userId',
    status !== undefined && 'AND status = @status',
    workspaceId !== undefined && 'AND workspace_id = @workspaceId',
    text !== undefined && 'AND instr(name_folded, @text) > 0',
    before !== undefined && 'AND id < @before',
    'ORDER BY id DESC LIMIT @limit',
  ]
    .filter((part) => part !== false)
    .join(' ')

export const createSessions = ({ file, read, write }: Connection): SessionStore => {
  const insert = file.prepare<[SessionRow]>(`
    INSERT INTO sessions (
      id, user_id, workspace_id, name, name_folded, model, permission_mode, system_prompt, max_turns, one_shot, status,
      last_seq, source_generation, source_offset, created_at, updated_at, state
    ) VALUES (
      @id, @user_id, @workspace_id, @name, @name_folded, @model, @permission_mode, @system_prompt, @max_turns, @one_shot, @status,
      @last_seq, @source_generation, @source_offset, @created_at, @updated_at, @state
    )`)
  const get = file.prepare<[string], SessionRow>('SELECT * FROM sessions WHERE id = ?')
  // "status <> 'closed'" is said each time, because SQLite uses a partial index only for its own words. The open ones are few
  // among all that ever were: without being told it would read those too, for the sake of their order.
  const listOpen = file.prepare<[], SessionRow>(
    "SELECT * FROM sessions INDEXED BY sessions_open WHERE status <> 'closed' ORDER BY id",
  )
  const countOpen = file
    .prepare<[string], number>("SELECT count(*) FROM sessions WHERE workspace_id = ? AND status <> 'closed'")
    .pluck()
  const countOpenOf = file
    .prepare<[string], number>(
      "SELECT count(*) FROM sessions INDEXED BY sessions_open_of_user WHERE user_id = ? AND status <> 'closed'",
    )
    .pluck()
  const counts = file.prepare<[], { total: number; running: number }>(`
    SELECT (SELECT count(*) FROM sessions) AS total,
      (SELECT count(*) FROM sessions WHERE status <> 'closed' AND status = 'running') AS running`)
  // Its events and approvals go with it, by their foreign keys.
  const remove = file.prepare<[string]>('DELETE FROM sessions WHERE id = ?')

  return {
    create: async (record) => {
      const row = toSessionRow(record)
      await write(() => void insert.run(row))
    },
    get: async (id) => {
      const row = read(() => get.get(id))
      return row && fromSessionRow(row)
    },
    list: async (filter) => {
      const { userId, limit, status, workspaceId, before } = filter
      const text = filter.text === undefined ? undefined : foldCase(filter.text)
      const rows = read(() =>
        file
          .prepare<[ListParameters], SessionRow>(listSql(filter))
          .all({ userId, limit, status, workspaceId, text, before }),
      )
      return rows.map(fromSessionRow)
    },
    listOpen: async () => read(() => listOpen.all()).map(fromSessionRow),
    countOpen: async (workspaceId) => read(() => countOpen.get(workspaceId)) ?? 0,
    countOpenOf: async (userId) => read(() => countOpenOf.get(userId)) ?? 0,
    counts: async () => read(() => counts.get()) ?? { total: 0, running: 0 },
    delete: (id) => write(() => void remove.run(id)),
  }
}
