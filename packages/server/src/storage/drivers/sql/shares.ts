import type { Kysely, Selectable } from 'kysely'
import type { ShareRecord, ShareStore } from '../../share-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['shares']>): ShareRecord => ({
  targetId: row.target_id,
  userId: row.user_id,
  access: row.access,
  createdAt: row.created_at,
})

export const createShares = (db: Kysely<Schema>, errors: SqlErrors): ShareStore => ({
  put: async ({ targetId, userId, access, createdAt }) => {
    await runQuery(errors, () =>
      db
        .insertInto('shares')
        .values({ target_id: targetId, user_id: userId, access, created_at: createdAt })
        .onConflict((conflict) => conflict.columns(['target_id', 'user_id']).doUpdateSet({ access }))
        .execute(),
    )
  },
  listOf: async (targetId) => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('shares').selectAll().where('target_id', '=', targetId).orderBy('user_id').execute(),
    )
    return rows.map(fromRow)
  },
  listFor: async (userId) => {
    const rows = await runQuery(errors, () =>
      db.selectFrom('shares').selectAll().where('user_id', '=', userId).orderBy('target_id').execute(),
    )
    return rows.map(fromRow)
  },
  delete: async (targetId, userId) => {
    await runQuery(errors, () =>
      db.deleteFrom('shares').where('target_id', '=', targetId).where('user_id', '=', userId).execute(),
    )
  },
  deleteOf: async (targetId) => {
    await runQuery(errors, () => db.deleteFrom('shares').where('target_id', '=', targetId).execute())
  },
})
