import { type Kysely, sql } from 'kysely'
import { newId } from '../../lib/id.ts'

/**
 * A login is one row instead of one for each refresh token it had; those that there are go on. What was revoked is found
 * there too. Nothing had written to `revoked_tokens` and `api_keys` yet.
 */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('users').addColumn('disabled_at', 'bigint').execute()

  await db.schema
    .createTable('logins')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('family_hash', 'text', (column) => column.notNull().unique())
    .addColumn('token_hash', 'text', (column) => column.notNull())
    .addColumn('agent', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('used_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .execute()
  await db.schema.createIndex('logins_of_user').on('logins').column('user_id').execute()
  await db.schema
    .createIndex('logins_revoked')
    .on('logins')
    .column('expires_at')
    .where(sql.ref('revoked_at'), 'is not', null)
    .execute()
  await keepLogins(db)
  await db.schema.dropTable('refresh_tokens').execute()
  await db.schema.dropTable('revoked_tokens').execute()

  await db.schema.dropTable('api_keys').execute()
  await db.schema
    .createTable('api_keys')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('prefix', 'text', (column) => column.notNull())
    .addColumn('key_hash', 'text', (column) => column.notNull().unique())
    .addColumn('permissions', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .execute()
  await db.schema.createIndex('api_keys_of_user').on('api_keys').column('user_id').execute()

  await db.schema
    .createTable('shares')
    .addColumn('target_id', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('access', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('shares_key', ['target_id', 'user_id'])
    .execute()
  await db.schema.createIndex('shares_for_user').on('shares').columns(['user_id', 'target_id']).execute()
}

type Old = { token_hash: string; user_id: string; created_at: number; expires_at: number }

/** Their tokens have one part only, which counts as the first part and as all of it. */
const keepLogins = async (db: Kysely<unknown>): Promise<void> => {
  const { rows } = await sql<Old>`select token_hash, user_id, created_at, expires_at from refresh_tokens`.execute(db)
  for (const { token_hash, user_id, created_at, expires_at } of rows)
    await sql`insert into logins (id, user_id, family_hash, token_hash, created_at, used_at, expires_at)
      values (${newId('lgn', Number(created_at))}, ${user_id}, ${token_hash}, ${token_hash}, ${created_at}, ${created_at}, ${expires_at})`.execute(
      db,
    )
}
