import BetterSqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import { up as initial } from './0001-initial.ts'
import { up as ownPasswords } from './0009-own-passwords.ts'

test('who was there before need not change the password', async () => {
  const file = new BetterSqlite(':memory:')
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: file }) })
  await initial(db)
  file.exec("INSERT INTO users VALUES ('usr_1', 'admin', 'admin', 'hash', 'admin', 1)")
  await ownPasswords(db)
  expect(file.prepare('SELECT id, must_change_password FROM users').all()).toEqual([
    { id: 'usr_1', must_change_password: 0 },
  ])
  await db.destroy()
})
