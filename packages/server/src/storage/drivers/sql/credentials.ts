import type { Kysely, Selectable } from 'kysely'
import type { CredentialRecord, CredentialStore } from '../../credential-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['credentials']>): CredentialRecord => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  kind: row.kind,
  upstream: row.upstream,
  sealed: row.sealed,
  hint: row.hint,
  enabled: row.enabled === 1,
  createdBy: row.created_by,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

const toRow = (record: CredentialRecord): Schema['credentials'] => ({
  id: record.id,
  user_id: record.userId,
  name: record.name,
  kind: record.kind,
  upstream: record.upstream,
  sealed: record.sealed,
  hint: record.hint,
  enabled: record.enabled ? 1 : 0,
  created_by: record.createdBy,
  created_at: record.createdAt,
  updated_at: record.updatedAt,
})

export const createCredentials = (db: Kysely<Schema>, errors: SqlErrors): CredentialStore => ({
  create: async (record) => {
    await runQuery(errors, () => db.insertInto('credentials').values(toRow(record)).execute())
  },
  get: async (id) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('credentials').selectAll().where('id', '=', id).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  listAll: async () => {
    const rows = await runQuery(errors, () => db.selectFrom('credentials').selectAll().orderBy('id').execute())
    return rows.map(fromRow)
  },
  update: async (id, { name, sealed, hint, enabled, updatedAt }) => {
    const changes = {
      updated_at: updatedAt,
      ...(name !== undefined && { name }),
      ...(sealed !== undefined && { sealed }),
      ...(hint !== undefined && { hint }),
      ...(enabled !== undefined && { enabled: enabled ? 1 : 0 }),
    }
    await runQuery(errors, () => db.updateTable('credentials').set(changes).where('id', '=', id).execute())
  },
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('credentials').where('id', '=', id).execute())
  },
})
