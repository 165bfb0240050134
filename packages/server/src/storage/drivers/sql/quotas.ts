import type { Kysely } from 'kysely'
import type { QuotaStore } from '../../quota-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

export const createQuotas = (db: Kysely<Schema>, errors: SqlErrors): QuotaStore => ({
  get: async (userId) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('user_quotas').select('overrides').where('user_id', '=', userId).executeTakeFirst(),
    )
    return row && JSON.parse(row.overrides)
  },
  listAll: async () => {
    const rows = await runQuery(errors, () => db.selectFrom('user_quotas').selectAll().execute())
    return rows.map((row) => ({ userId: row.user_id, changes: JSON.parse(row.overrides) }))
  },
  set: async (userId, given) => {
    const overrides = JSON.stringify(given)
    await runQuery(errors, () =>
      db
        .insertInto('user_quotas')
        .values({ user_id: userId, overrides })
        .onConflict((conflict) => conflict.column('user_id').doUpdateSet({ overrides }))
        .execute(),
    )
  },
})
