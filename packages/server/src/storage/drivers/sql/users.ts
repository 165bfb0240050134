import type { Kysely, Selectable } from 'kysely'
import { AppError } from '../../../lib/app-error.ts'
import { foldCase } from '../../fold-case.ts'
import type { UserRecord, UserStore } from '../../user-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const fromRow = (row: Selectable<Schema['users']>): UserRecord => ({
  id: row.id,
  username: row.username,
  passwordHash: row.password_hash,
  mustChangePassword: row.must_change_password !== 0,
  oidcId: row.oidc_id,
  role: row.role,
  disabledAt: row.disabled_at,
  createdAt: row.created_at,
})

const toRow = (record: UserRecord): Schema['users'] => ({
  id: record.id,
  username: record.username,
  username_folded: foldCase(record.username),
  password_hash: record.passwordHash,
  must_change_password: Number(record.mustChangePassword),
  oidc_id: record.oidcId,
  role: record.role,
  disabled_at: record.disabledAt,
  created_at: record.createdAt,
})

export const createUsers = (db: Kysely<Schema>, errors: SqlErrors): UserStore => ({
  create: async (record) => {
    await runQuery(
      errors,
      () => db.insertInto('users').values(toRow(record)).execute(),
      () => new AppError('user_exists', `The user name "${record.username}" is taken.`),
    )
  },
  get: async (id) => {
    const row = await runQuery(errors, () => db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst())
    return row && fromRow(row)
  },
  findByUsername: async (username) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('users').selectAll().where('username_folded', '=', foldCase(username)).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  findByOidcId: async (oidcId) => {
    const row = await runQuery(errors, () =>
      db.selectFrom('users').selectAll().where('oidc_id', '=', oidcId).executeTakeFirst(),
    )
    return row && fromRow(row)
  },
  list: async () => {
    const rows = await runQuery(errors, () => db.selectFrom('users').selectAll().orderBy('id').execute())
    return rows.map(fromRow)
  },
  count: async () => {
    const row = await runQuery(errors, () =>
      db
        .selectFrom('users')
        .select(({ fn }) => fn.countAll().as('users'))
        .executeTakeFirstOrThrow(),
    )
    return Number(row.users)
  },
  update: async (id, { passwordHash, mustChangePassword, role, disabledAt }) => {
    const changes = {
      ...(passwordHash === undefined ? {} : { password_hash: passwordHash }),
      ...(mustChangePassword === undefined ? {} : { must_change_password: Number(mustChangePassword) }),
      ...(role === undefined ? {} : { role }),
      ...(disabledAt === undefined ? {} : { disabled_at: disabledAt }),
    }
    await runQuery(errors, () => db.updateTable('users').set(changes).where('id', '=', id).execute())
  },
  // Logins, keys and shares go with it, by their foreign keys.
  delete: async (id) => {
    await runQuery(errors, () => db.deleteFrom('users').where('id', '=', id).execute())
  },
})
