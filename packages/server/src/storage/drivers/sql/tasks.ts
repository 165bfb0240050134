import type { Kysely, Selectable } from 'kysely'
import type { TaskRecord, TaskStore } from '../../task-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['tasks']>): TaskRecord => ({
  id: row.id,
  userId: row.user_id,
  projectId: row.project_id,
  workspaceId: row.workspace_id,
  sessionId: row.session_id,
  turnId: row.turn_id,
  title: row.title,
  prompt: row.prompt,
  status: row.status,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

const toRow = (record: TaskRecord): Schema['tasks'] => ({
  id: record.id,
  user_id: record.userId,
  project_id: record.projectId,
  workspace_id: record.workspaceId,
  session_id: record.sessionId,
  turn_id: record.turnId,
  title: record.title,
  prompt: record.prompt,
  status: record.status,
  created_at: record.createdAt,
  updated_at: record.updatedAt,
})

export const createTasks = (db: Kysely<Schema>, errors: SqlErrors): TaskStore => ({
  create: async (record) => {
    await runQuery(errors, () => db.insertInto('tasks').values(toRow(record)).execute())
  },
  get: async (id) => {
    const row = await runQuery(errors, () => db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst())
    return row && fromRow(row)
  },
  list: async ({ userId, status, limit }) => {
    const rows = await runQuery(errors, () =>
      db
        .selectFrom('tasks')
        .selectAll()
        .where('user_id', '=', userId)
        .$if(status !== undefined, (query) => query.where('status', '=', status!))
        .orderBy('id')
        .limit(limit)
        .execute(),
    )
    return rows.map(fromRow)
  },
  move: async (id, from, { status, sessionId, turnId, updatedAt }) => {
    const changes = {
      updated_at: updatedAt,
      ...(status !== undefined && { status }),
      ...(sessionId !== undefined && { session_id: sessionId }),
      ...(turnId !== undefined && { turn_id: turnId }),
    }
    const { numUpdatedRows } = await runQuery(errors, () =>
      db.updateTable('tasks').set(changes).where('id', '=', id).where('status', '=', from).executeTakeFirst(),
    )
    return numUpdatedRows > 0n
  },
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('tasks').where('id', '=', id).execute())
  },
})
