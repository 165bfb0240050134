import { AppError } from '../../../lib/app-error.ts'
import { migrationNames, migrations } from '../../migrations/index.ts'
import type { SqliteFile } from './open-file.ts'

/**
 * Which migrations the file lacks. Changes nothing, and refuses a file that a newer version of aicm wrote: what this version
 * does not know it could only damage.
 */
export const pendingMigrations = (file: SqliteFile): string[] => {
  const tables = file
    .prepare<[], string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .pluck()
    .all()
  if (tables.length === 0) return migrationNames
  if (!tables.includes('kysely_migration')) {
    throw new AppError('storage_unavailable', 'This database belongs to another program.', {
      hint: 'Choose another data folder with --data-dir.',
    })
  }
  const applied = file.prepare<[], string>('SELECT name FROM kysely_migration ORDER BY name').pluck().all()
  const unknown = applied.find((name) => !migrationNames.includes(name))
  if (unknown !== undefined) {
    throw new AppError(
      'storage_unavailable',
      `This database was written by a newer version of aicm (migration ${unknown}).`,
      {
        hint: 'Install that version or a newer one, or choose another data folder with --data-dir. Nothing was changed.',
      },
    )
  }
  return migrationNames.filter((name) => !applied.includes(name))
}

/** Brings the file up to date, all or nothing. Called before anything else uses the connection. */
export const migrate = async (file: SqliteFile): Promise<void> => {
  const [{ Kysely, SqliteDialect }, { Migrator }] = await Promise.all([import('kysely'), import('kysely/migration')])
  const migrator = new Migrator({
    db: new Kysely<unknown>({ dialect: new SqliteDialect({ database: file }) }),
    provider: {
      getMigrations: async () =>
        Object.fromEntries(
          await Promise.all(Object.entries(migrations).map(async ([name, load]) => [name, await load()] as const)),
        ),
    },
  })
  // Migrator uses no transaction on SQLite; on this connection its statements fall into ours, so a crash leaves no half.
  file.exec('BEGIN IMMEDIATE')
  try {
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
    file.exec('COMMIT')
  } catch (error) {
    if (file.inTransaction) file.exec('ROLLBACK')
    throw error
  }
}
