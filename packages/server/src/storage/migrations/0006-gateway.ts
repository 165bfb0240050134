import { sql, type Kysely } from 'kysely'

/** Quotas of users, and a way to count a user's open sessions without reading the closed ones. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('user_quotas')
    .addColumn('user_id', 'text', (column) => column.primaryKey().notNull().references('users.id').onDelete('cascade'))
    .addColumn('overrides', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('sessions_open_of_user')
    .on('sessions')
    .column('user_id')
    .where(sql.ref('status'), '<>', 'closed')
    .execute()
}
