import type { Kysely } from 'kysely'

/** Who is still to change a password that somebody else has set. Nobody of before: they know no better. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('users')
    .addColumn('must_change_password', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
}
