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
  role: row.role,
  createdAt: row.created_at,
})

const toRow = (record: UserRecord): Schema['users'] => ({
  id: record.id,
  username: record.username,
  username_folded: foldCase(record.username),
  password_hash: record.passwordHash,
  role: record.role,
  created_at: record.createdAt,
})

export const createUsers = (db: Kysely<Schema>, errors: SqlErrors): UserStore => ({
  create: async (record) => {
    await runQuery(
      errors,
      () => db.insertInto('users').values(toRow(record)).execute(),
      () =>
        new AppError('invalid_request', `The user name "${record.username}" is taken.`, {
          hint: 'Choose another name.',
        }),
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
  count: async () => {
    const row = await runQuery(errors, () =>
      db
        .selectFrom('users')
        .select(({ fn }) => fn.countAll().as('users'))
        .executeTakeFirstOrThrow(),
    )
    return Number(row.users)
  },
  saveRefreshToken: async (record) => {
    const row = {
      token_hash: record.tokenHash,
      family_id: record.familyId,
      user_id: record.userId,
      created_at: record.createdAt,
      expires_at: record.expiresAt,
      used_at: null,
      revoked_at: null,
    }
    await runQuery(errors, () => db.insertInto('refresh_tokens').values(row).execute())
  },
})
