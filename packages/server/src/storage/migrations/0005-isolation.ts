import type { Kysely } from 'kysely'

/** No references: a uid stays taken when its user is gone. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('confined_users')
    .addColumn('user_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('uid', 'bigint', (column) => column.unique())
    .execute()
}
