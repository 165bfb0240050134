import type { Kysely } from 'kysely'

/** What only the operator decides about a user's processes. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('confined_users').addColumn('limits', 'text').execute()
}
