import { type Kysely, sql, SqliteAdapter } from 'kysely'

/**
 * Times are milliseconds since 1970, JSON is text, booleans are 0 or 1. Tables whose rows are small and found only by their
 * key are clustered by it; events are not: an ordinary table with an index took 1.5 times as many appends a second.
 */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  const clustered = db.getExecutor().adapter instanceof SqliteAdapter ? sql`without rowid` : sql``

  await db.schema
    .createTable('users')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('username', 'text', (column) => column.notNull())
    .addColumn('username_folded', 'text', (column) => column.notNull().unique())
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()

  await db.schema
    .createTable('workspaces')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('git_url', 'text')
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('error', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('workspaces_name', ['user_id', 'name'])
    .execute()

  await db.schema
    .createTable('projects')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('workspace_ids', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('projects_name', ['user_id', 'name'])
    .execute()

  await db.schema
    .createTable('tasks')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('project_id', 'text')
    .addColumn('workspace_id', 'text')
    .addColumn('session_id', 'text')
    .addColumn('turn_id', 'text')
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('prompt', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('tasks_of_user').on('tasks').columns(['user_id', 'status', 'id']).execute()

  await createLog(db)
  await createAccounts(db, clustered)
}

/** Sessions, and what is written in the transaction of their events. */
const createLog = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('sessions')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('workspace_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('name_folded', 'text', (column) => column.notNull())
    .addColumn('model', 'text')
    .addColumn('permission_mode', 'text', (column) => column.notNull())
    .addColumn('system_prompt', 'text')
    .addColumn('max_turns', 'integer')
    .addColumn('one_shot', 'integer', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('last_seq', 'bigint', (column) => column.notNull())
    .addColumn('source_generation', 'integer')
    .addColumn('source_offset', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_of_user').on('sessions').columns(['user_id', 'id']).execute()
  await db.schema
    .createIndex('sessions_open')
    .on('sessions')
    .columns(['workspace_id', 'status'])
    .where(sql.ref('status'), '<>', 'closed')
    .execute()

  await db.schema
    .createTable('events')
    .addColumn('session_id', 'text', (column) => column.notNull().references('sessions.id').onDelete('cascade'))
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('turn_id', 'text')
    .addColumn('time', 'text', (column) => column.notNull())
    .addColumn('data', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('events_position', ['session_id', 'seq'])
    .execute()
  for (const type of ['prompt', 'complete']) {
    await db.schema
      .createIndex(`events_${type}`)
      .unique()
      .on('events')
      .columns(['session_id', 'turn_id'])
      .where(sql.ref('type'), '=', type)
      .execute()
  }

  await db.schema
    .createTable('approvals')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('session_id', 'text', (column) => column.notNull().references('sessions.id').onDelete('cascade'))
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('turn_id', 'text')
    .addColumn('tool', 'text', (column) => column.notNull())
    .addColumn('tool_use_id', 'text', (column) => column.notNull())
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('can_remember', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('approvals_of_session').on('approvals').column('session_id').execute()
  await db.schema
    .createIndex('approvals_pending')
    .on('approvals')
    .columns(['user_id', 'id'])
    .where(sql.ref('state'), '=', 'pending')
    .execute()
}

const createAccounts = async (db: Kysely<unknown>, clustered: ReturnType<typeof sql>): Promise<void> => {
  await db.schema
    .createTable('refresh_tokens')
    .addColumn('token_hash', 'text', (column) => column.primaryKey().notNull())
    .addColumn('family_id', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('used_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .modifyEnd(clustered)
    .execute()
  await db.schema.createIndex('refresh_tokens_family').on('refresh_tokens').column('family_id').execute()
  await db.schema.createIndex('refresh_tokens_of_user').on('refresh_tokens').column('user_id').execute()
  await db.schema.createIndex('refresh_tokens_expiry').on('refresh_tokens').column('expires_at').execute()

  await db.schema
    .createTable('revoked_tokens')
    .addColumn('jti', 'text', (column) => column.primaryKey().notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .modifyEnd(clustered)
    .execute()
  await db.schema.createIndex('revoked_tokens_expiry').on('revoked_tokens').column('expires_at').execute()

  await db.schema
    .createTable('api_keys')
    .addColumn('key_hash', 'text', (column) => column.primaryKey().notNull())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .modifyEnd(clustered)
    .execute()
  await db.schema.createIndex('api_keys_of_user').on('api_keys').column('user_id').execute()

  // No reference to users: what was done stays known after the account is gone.
  await db.schema
    .createTable('audit_log')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('time', 'bigint', (column) => column.notNull())
    .addColumn('user_id', 'text')
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('target', 'text')
    .addColumn('address', 'text')
    .addColumn('request_id', 'text')
    .addColumn('detail', 'text')
    .execute()
  await db.schema.createIndex('audit_log_time').on('audit_log').column('time').execute()
  await db.schema.createIndex('audit_log_of_user').on('audit_log').columns(['user_id', 'time']).execute()
}
