import type { Kysely, Selectable } from 'kysely'
import type { ApiKeyRecord, ApiKeyStore } from '../../api-key-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['api_keys']>): ApiKeyRecord => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  prefix: row.prefix,
  keyHash: row.key_hash,
  permissions: JSON.parse(row.permissions),
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
})

const toRow = (record: ApiKeyRecord): Schema['api_keys'] => ({
  id: record.id,
  user_id: record.userId,
  name: record.name,
  prefix: record.prefix,
  key_hash: record.keyHash,
  permissions: JSON.stringify(record.permissions),
  created_at: record.createdAt,
  expires_at: record.expiresAt,
  last_used_at: record.lastUsedAt,
})

export const createApiKeys = (db: Kysely<Schema>, errors: SqlErrors): ApiKeyStore => ({
  create: async (record) => {
    await runQuery(errors, () => db.insertInto('api_keys').values(toRow(record)).execute())
  },
  findByHash: async (keyHash) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('api_keys').selectAll().where('key_hash', '=', keyHash).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  list: async (userId) => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('api_keys').selectAll().where('user_id', '=', userId).orderBy('id', 'desc').execute(),
    )
    return rows.map(fromRow)
  },
  noteUse: async (id, at) => {
    await runQuery(errors, () => db.updateTable('api_keys').set({ last_used_at: at }).where('id', '=', id).execute())
  },
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('api_keys').where('id', '=', id).execute())
  },
})
