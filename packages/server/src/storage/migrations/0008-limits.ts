import type { Kysely } from 'kysely'

/** What only the operator decides about the processes of a user, and those in a workspace. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('confined_users').addColumn('limits', 'text').execute()
  await db.schema
    .createTable('confined_workspaces')
    .addColumn('workspace_id', 'text', (column) =>
      column.primaryKey().notNull().references('workspaces.id').onDelete('cascade'),
    )
    .addColumn('confinement', 'text', (column) => column.notNull())
    .execute()
}
