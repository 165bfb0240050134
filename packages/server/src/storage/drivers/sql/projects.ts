import type { Kysely, Selectable } from 'kysely'
import { AppError } from '../../../lib/app-error.ts'
import type { ProjectRecord, ProjectStore } from '../../project-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['projects']>): ProjectRecord => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  description: row.description,
  workspaceIds: JSON.parse(row.workspace_ids),
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

const toRow = (record: ProjectRecord): Schema['projects'] => ({
  id: record.id,
  user_id: record.userId,
  name: record.name,
  description: record.description,
  workspace_ids: JSON.stringify(record.workspaceIds),
  created_at: record.createdAt,
  updated_at: record.updatedAt,
})

const nameTaken = (name: string | undefined) => (): AppError =>
  new AppError('invalid_request', `You have a project named "${name}" already.`, { hint: 'Choose another name.' })

export const createProjects = (db: Kysely<Schema>, errors: SqlErrors): ProjectStore => ({
  create: async (record) => {
    await runQuery(errors, () => db.insertInto('projects').values(toRow(record)).execute(), nameTaken(record.name))
  },
  get: async (id) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('projects').selectAll().where('id', '=', id).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  list: async (userId) => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('projects').selectAll().where('user_id', '=', userId).orderBy('id', 'desc').execute(),
    )
    return rows.map(fromRow)
  },
  update: async (id, { name, description, workspaceIds, updatedAt }) => {
    const changes = {
      updated_at: updatedAt,
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description }),
      ...(workspaceIds !== undefined && { workspace_ids: JSON.stringify(workspaceIds) }),
    }
    await runQuery(
      errors,
      () => db.updateTable('projects').set(changes).where('id', '=', id).execute(),
      nameTaken(name),
    )
  },
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('projects').where('id', '=', id).execute())
  },
})
