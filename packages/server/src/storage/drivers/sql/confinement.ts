import { type Kysely, sql } from 'kysely'
import { noUidLeft, type ConfinementStore } from '../../confinement-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

export const createConfinement = (db: Kysely<Schema>, errors: SqlErrors): ConfinementStore => {
  const getUid: ConfinementStore['getUid'] = async (userId) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('confined_users').select('uid').where('user_id', '=', userId).executeTakeFirst(),
    )
    return row?.uid ?? undefined
  }
  return {
    getLimits: async (userId) => {
      const row = await runQuery(errors, () =>
        db.selectFrom('confined_users').select('limits').where('user_id', '=', userId).executeTakeFirst(),
      )
      return row?.limits == null ? undefined : JSON.parse(row.limits)
    },
    setLimits: async (userId, given) => {
      const limits = JSON.stringify(given)
      await runQuery(errors, () =>
        db
          .insertInto('confined_users')
          .values({ user_id: userId, limits })
          .onConflict((conflict) => conflict.column('user_id').doUpdateSet({ limits }))
          .execute(),
      )
    },
    getWorkspace: async (workspaceId) => {
      const row = await runQuery(errors, () =>
        db
          .selectFrom('confined_workspaces')
          .select('confinement')
          .where('workspace_id', '=', workspaceId)
          .executeTakeFirst(),
      )
      return row && JSON.parse(row.confinement)
    },
    setWorkspace: async (workspaceId, given) => {
      const confinement = JSON.stringify(given)
      await runQuery(errors, () =>
        db
          .insertInto('confined_workspaces')
          .values({ workspace_id: workspaceId, confinement })
          .onConflict((conflict) => conflict.column('workspace_id').doUpdateSet({ confinement }))
          .execute(),
      )
    },
    getUid,
    giveUid: async (userId, { first, last }) => {
      // One statement: of two at the same time the second sees what the first has taken.
      const next = sql<number>`(select coalesce(max(uid) + 1, ${first}) from confined_users where uid between ${first} and ${last})`
      await runQuery(errors, () =>
        db
          .insertInto('confined_users')
          .values({ user_id: userId, uid: next })
          .onConflict((conflict) =>
            conflict.column('user_id').doUpdateSet({ uid: sql`coalesce(confined_users.uid, excluded.uid)` }),
          )
          .execute(),
      )
      const uid = await getUid(userId)
      if (uid === undefined || uid > last) throw noUidLeft(first, last)
      return uid
    },
  }
}
