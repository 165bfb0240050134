import type { Kysely, Selectable } from 'kysely'
import type { LoginRecord, LoginStore } from '../../login-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['logins']>): LoginRecord => ({
  id: row.id,
  userId: row.user_id,
  familyHash: row.family_hash,
  tokenHash: row.token_hash,
  agent: row.agent,
  createdAt: row.created_at,
  usedAt: row.used_at,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
})

const toRow = (record: LoginRecord): Schema['logins'] => ({
  id: record.id,
  user_id: record.userId,
  family_hash: record.familyHash,
  token_hash: record.tokenHash,
  agent: record.agent,
  created_at: record.createdAt,
  used_at: record.usedAt,
  expires_at: record.expiresAt,
  revoked_at: record.revokedAt,
})

export const createLogins = (db: Kysely<Schema>, errors: SqlErrors): LoginStore => ({
  create: async (record) => {
    await runQuery(errors, () => db.insertInto('logins').values(toRow(record)).execute())
  },
  findByFamily: async (familyHash) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('logins').selectAll().where('family_hash', '=', familyHash).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  list: async (userId) => {
    const rows = await runQuery(errors, () =>
      db
        .selectFrom('logins')
        .selectAll()
        .where('user_id', '=', userId)
        .where('revoked_at', 'is', null)
        .orderBy('id', 'desc')
        .execute(),
    )
    return rows.map(fromRow)
  },
  rotate: async (id, from, { tokenHash, usedAt, expiresAt }) => {
    // Looked at and changed in one statement: of many who come with the same token one is first.
    const { numUpdatedRows } = await runQuery(errors, () =>
      db
        .updateTable('logins')
        .set({ token_hash: tokenHash, used_at: usedAt, expires_at: expiresAt })
        .where('id', '=', id)
        .where('token_hash', '=', from)
        .where('revoked_at', 'is', null)
        .executeTakeFirstOrThrow(),
    )
    return numUpdatedRows > 0n
  },
  revoke: async (ids, at) => {
    if (ids.length === 0) return
    await runQuery(errors, () =>
      db.updateTable('logins').set({ revoked_at: at }).where('id', 'in', ids).where('revoked_at', 'is', null).execute(),
    )
  },
  listRevoked: async (now) => {
    const rows = await runQuery(errors, () =>
      db
        .selectFrom('logins')
        .select('id')
        .where('revoked_at', 'is not', null)
        .where('expires_at', '>', now)
        .orderBy('id')
        .execute(),
    )
    return rows.map(({ id }) => id)
  },
  deleteEnded: async ({ expiredAt, revokedAt }) => {
    await runQuery(errors, () =>
      db
        .deleteFrom('logins')
        .where(({ eb, or }) => or([eb('expires_at', '<=', expiredAt), eb('revoked_at', '<=', revokedAt)]))
        .execute(),
    )
  },
})
