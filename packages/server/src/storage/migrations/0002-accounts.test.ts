import BetterSqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import { up as initial } from './0001-initial.ts'
import { up as accounts } from './0002-accounts.ts'

test('a login from before goes on with the refresh token it has', async () => {
  const file = new BetterSqlite(':memory:')
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: file }) })
  await initial(db)
  file.exec(`
    INSERT INTO users VALUES ('usr_1', 'admin', 'admin', 'hash', 'admin', 1);
    INSERT INTO refresh_tokens VALUES ('abc', 'family', 'usr_1', 5, 900, NULL, NULL)`)
  await accounts(db)
  expect(file.prepare('SELECT * FROM logins').all()).toEqual([
    {
      id: expect.stringMatching(/^lgn_[0-9a-hjkmnp-tv-z]{26}$/),
      user_id: 'usr_1',
      family_hash: 'abc',
      token_hash: 'abc',
      agent: null,
      created_at: 5,
      used_at: 5,
      expires_at: 900,
      revoked_at: null,
    },
  ])
  expect(file.prepare('SELECT username, disabled_at FROM users').all()).toEqual([
    { username: 'admin', disabled_at: null },
  ])
  await db.destroy()
})
