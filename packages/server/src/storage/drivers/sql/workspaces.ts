import type { Kysely, Selectable } from 'kysely'
import { AppError } from '../../../lib/app-error.ts'
import type { WorkspaceRecord, WorkspaceStore } from '../../workspace-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['workspaces']>): WorkspaceRecord => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  source: row.source,
  path: row.path,
  gitUrl: row.git_url,
  status: row.status,
  error: row.error,
  createdAt: row.created_at,
})

const toRow = (record: WorkspaceRecord): Schema['workspaces'] => ({
  id: record.id,
  user_id: record.userId,
  name: record.name,
  source: record.source,
  path: record.path,
  git_url: record.gitUrl,
  status: record.status,
  error: record.error,
  created_at: record.createdAt,
})

export const createWorkspaces = (db: Kysely<Schema>, errors: SqlErrors): WorkspaceStore => ({
  create: async (record) => {
    await runQuery(
      errors,
      () => db.insertInto('workspaces').values(toRow(record)).execute(),
      () => new AppError('workspace_exists', `You have a workspace named "${record.name}" already.`),
    )
  },
  get: async (id) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('workspaces').selectAll().where('id', '=', id).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  list: async (userId) => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('workspaces').selectAll().where('user_id', '=', userId).orderBy('id', 'desc').execute(),
    )
    return rows.map(fromRow)
  },
  update: async (id, { status, error }) => {
    await runQuery(errors, () => db.updateTable('workspaces').set({ status, error }).where('id', '=', id).execute())
  },
  listCloning: async () => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('workspaces').selectAll().where('status', '=', 'cloning').orderBy('id').execute(),
    )
    return rows.map(fromRow)
  },
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('workspaces').where('id', '=', id).execute())
  },
})
