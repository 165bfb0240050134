import type { Kysely } from 'kysely'

/** What the model API was used for, the credentials for it, and what may be spent. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  // No reference to sessions and users: what was spent stays known when they are gone.
  await db.schema
    .createTable('usage')
    .addColumn('ledger', 'text', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('time', 'bigint', (column) => column.notNull())
    .addColumn('day', 'text', (column) => column.notNull())
    .addColumn('session_id', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('credential_id', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('input_tokens', 'bigint', (column) => column.notNull())
    .addColumn('output_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cache_read_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cache_write_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cost_usd', 'double precision', (column) => column.notNull())
    .addColumn('priced', 'integer', (column) => column.notNull())
    .addColumn('status', 'integer')
    .addColumn('end', 'text', (column) => column.notNull())
    .addColumn('first_byte_ms', 'integer')
    .addColumn('ms', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('usage_position', ['ledger', 'seq'])
    .execute()
  await db.schema.createIndex('usage_of_user').on('usage').columns(['user_id', 'time']).execute()
  await db.schema.createIndex('usage_of_session').on('usage').columns(['session_id', 'time']).execute()
  await db.schema.createIndex('usage_time').on('usage').column('time').execute()

  await db.schema
    .createTable('credentials')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('upstream', 'text')
    .addColumn('sealed', 'text', (column) => column.notNull())
    .addColumn('hint', 'text', (column) => column.notNull())
    .addColumn('enabled', 'integer', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('credentials_of_user').on('credentials').column('user_id').execute()

  await db.schema
    .createTable('budgets')
    .addColumn('of', 'text', (column) => column.primaryKey().notNull())
    .addColumn('day', 'text')
    .addColumn('month', 'text')
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
}
