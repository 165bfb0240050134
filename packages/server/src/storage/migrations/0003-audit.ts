import { type Kysely, sql, SqliteAdapter } from 'kysely'

/** The audit log as a chain. Nothing has ever written to the table that 0001 laid for it. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.dropTable('audit_log').execute()
  await db.schema
    .createTable('audit_log')
    .addColumn('seq', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('time', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text')
    .addColumn('username', 'text')
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('target', 'text')
    .addColumn('result', 'text', (column) => column.notNull())
    .addColumn('code', 'text')
    .addColumn('address', 'text')
    .addColumn('request_id', 'text')
    .addColumn('credential', 'text')
    .addColumn('detail', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute()
  for (const column of ['time', 'user_id', 'target'])
    await db.schema.createIndex(`audit_log_${column}`).on('audit_log').columns([column, 'seq']).execute()
  if (db.getExecutor().adapter instanceof SqliteAdapter) await refuseChanges(db)
}

/** INSERT OR REPLACE would remove a row without asking the trigger for that. */
const refuseChanges = async (db: Kysely<unknown>): Promise<void> => {
  const refuse = sql`BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`
  await sql`CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log ${refuse}`.execute(db)
  await sql`CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log ${refuse}`.execute(db)
  await sql`CREATE TRIGGER audit_log_replace BEFORE INSERT ON audit_log
    WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq) ${refuse}`.execute(db)
}
