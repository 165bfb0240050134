import { formatAuditHead, type AuditEntry } from '@aicm/protocol'
import { tempDir } from '@aicm/testing/temp-dir'
import BetterSqlite from 'better-sqlite3'
import fc from 'fast-check'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Log } from '../lib/log.ts'
import { openMemoryKeyValue } from '../storage/drivers/memory/key-value.ts'
import { openSqliteDatabase } from '../storage/drivers/sqlite/database.ts'
import { openAudit } from './audit.ts'
import { checkChain, findBreaks } from './check.ts'

const quiet = (): void => {}
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log }
const count = 12

/** A log of twelve acts in a file, and the key-value store that knows its end. */
const written = async () => {
  const dir = await tempDir()
  const path = join(dir.path, 'aicm.db')
  const kv = openMemoryKeyValue()
  {
    await using database = await openSqliteDatabase({ path })
    await using audit = await openAudit({ store: database.audit, kv, clock: { now: () => 1_767_225_600_000 }, log })
    for (let at = 1; at <= count; at++)
      await audit.record({
        action: 'sessions.create',
        userId: `usr_${at}`,
        username: 'Ada',
        target: `ses_${at}`,
        address: '127.0.0.1',
        requestId: `req_${at}`,
        credential: 'login',
        code: 'internal',
        detail: { at },
      })
  }
  return {
    path,
    kv,
    /** Runs SQL as somebody who has the file, and does not mind triggers. */
    tamper: (...statements: string[]) => {
      const file = new BetterSqlite(path)
      try {
        file.exec('DROP TRIGGER audit_log_update; DROP TRIGGER audit_log_delete; DROP TRIGGER audit_log_replace')
        for (const statement of statements) file.exec(statement)
      } finally {
        file.close()
      }
    },
    check: async () => {
      await using database = await openSqliteDatabase({ path })
      return (await checkChain(database.audit, { after: 0, limit: 1000 })).broken
    },
    [Symbol.asyncDispose]: dir[Symbol.asyncDispose],
  }
}

test('whoever has the file cannot change, remove or replace an entry by mistake', async () => {
  await using node = await written()
  const file = new BetterSqlite(node.path)
  for (const statement of [
    "UPDATE audit_log SET username = 'Bob' WHERE seq = 3",
    'DELETE FROM audit_log WHERE seq = 12',
    'INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE seq = 3',
  ])
    expect(() => file.exec(statement), statement).toThrow('append-only')
  file.close()
  expect(await node.check()).toBeNull()
})

const columns = {
  time: "'2020-01-01T00:00:00.000Z'",
  user_id: "'usr_0'",
  username: 'NULL',
  action: "'sessions.delete'",
  target: "'ses_0'",
  result: "'refused'",
  code: 'NULL',
  address: "'10.0.0.1'",
  request_id: "''",
  credential: "x'00ff'",
  detail: '\'{"at":"1"}\'',
  hash: "'0'",
} as const

test('any change of any field of any entry is found at that entry', async () => {
  const seqs = fc.integer({ min: 1, max: count })
  await fc.assert(
    fc.asyncProperty(
      seqs,
      fc.constantFrom(...(Object.keys(columns) as (keyof typeof columns)[])),
      async (seq, column) => {
        await using copy = await written()
        copy.tamper(`UPDATE audit_log SET ${column} = ${columns[column]} WHERE seq = ${seq}`)
        expect(await copy.check()).toMatchObject({ seq })
      },
    ),
    { numRuns: 40 },
  )
})

test('text of any kind in any field of an entry is found, unless it is what was there', async () => {
  await using node = await written()
  const file = new BetterSqlite(node.path)
  file.exec('DROP TRIGGER audit_log_update')
  await using database = await openSqliteDatabase({ path: node.path })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: count }),
      fc.constantFrom(...(Object.keys(columns) as (keyof typeof columns)[])),
      fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
      async (seq, column, text) => {
        const before = file.prepare(`SELECT ${column} FROM audit_log WHERE seq = ?`).pluck().get(seq)
        fc.pre(before !== text)
        const set = file.prepare(`UPDATE audit_log SET ${column} = ? WHERE seq = ?`)
        set.run(text, seq)
        const { broken } = await checkChain(database.audit, { after: 0, limit: 1000 })
        set.run(before, seq)
        // The same JSON with other white space says the same.
        const same = column === 'detail' && isSameJson(text, String(before))
        expect(broken?.seq).toBe(same ? undefined : seq)
      },
    ),
    { numRuns: 150 },
  )
  file.close()
  expect(await checkChain(database.audit, { after: 0, limit: 1000 })).toMatchObject({ broken: null, checked: count })
})

const isSameJson = (a: string, b: string): boolean => {
  try {
    return JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b))
  } catch {
    return false
  }
}

test.each([
  ['an entry removed', 5, ['DELETE FROM audit_log WHERE seq = 5']],
  [
    'an entry removed and the rest moved up',
    5,
    ['DELETE FROM audit_log WHERE seq = 5', 'UPDATE audit_log SET seq = seq - 1 WHERE seq > 5'],
  ],
  ['the first entry removed', 1, ['DELETE FROM audit_log WHERE seq = 1']],
  [
    'two entries swapped',
    4,
    [
      'UPDATE audit_log SET seq = 100 WHERE seq = 4',
      'UPDATE audit_log SET seq = 4 WHERE seq = 9',
      'UPDATE audit_log SET seq = 9 WHERE seq = 100',
    ],
  ],
  [
    'an entry inserted',
    7,
    [
      'UPDATE audit_log SET seq = seq + 100 WHERE seq >= 7',
      'UPDATE audit_log SET seq = seq - 99 WHERE seq > 100',
      'CREATE TABLE taken AS SELECT * FROM audit_log WHERE seq = 3',
      'UPDATE taken SET seq = 7',
      'INSERT INTO audit_log SELECT * FROM taken',
    ],
  ],
  [
    'an entry appended',
    13,
    [
      'INSERT INTO audit_log SELECT 13, time, user_id, username, action, target, result, code, address, request_id, credential, detail, hash FROM audit_log WHERE seq = 12',
    ],
  ],
])('%s is found at its place', async (_, seq, statements) => {
  await using node = await written()
  node.tamper(...statements)
  expect(await node.check()).toMatchObject({ seq })
})

test('a tail that was cut leaves a whole chain; the next start sees it by what it has noted, and writes that down', async () => {
  await using node = await written()
  const noted = await node.kv.get('audit/head')
  expect(noted).toMatchObject({ seq: count })
  node.tamper('DELETE FROM audit_log WHERE seq > 8')
  expect(await node.check()).toBeNull()

  await using database = await openSqliteDatabase({ path: node.path })
  const last = await database.audit.readHead()
  await using _ = await openAudit({ store: database.audit, kv: node.kv, clock: { now: () => 0 }, log })
  expect(await database.audit.read({ after: 8, limit: 10 })).toMatchObject([
    {
      seq: 9,
      action: 'audit.gap',
      result: 'failed',
      detail: { expected: formatAuditHead(noted as never), found: formatAuditHead(last) },
    },
  ])
  expect(await checkChain(database.audit, { after: 0, limit: 100 })).toMatchObject({ checked: 8, broken: { seq: 9 } })
})

test('a log that was written anew from some entry on is a whole chain too, and is seen by the same', async () => {
  await using node = await written()
  node.tamper('DELETE FROM audit_log WHERE seq > 8')
  {
    await using database = await openSqliteDatabase({ path: node.path })
    await using forger = await openAudit({
      ...{ store: database.audit, kv: openMemoryKeyValue(), clock: { now: () => 0 } },
      log,
    })
    for (let at = 0; at < 10; at++) await forger.record({ action: 'sessions.create' })
  }
  expect(await node.check()).toBeNull()
  await using database = await openSqliteDatabase({ path: node.path })
  await using _ = await openAudit({ store: database.audit, kv: node.kv, clock: { now: () => 0 }, log })
  expect((await database.audit.read({ order: 'newest', limit: 1 }))[0]).toMatchObject({ action: 'audit.gap' })
})

test('every place where a log is broken is found, and what lies between is checked', async () => {
  await using node = await written()
  node.tamper('DELETE FROM audit_log WHERE seq IN (3, 4)', "UPDATE audit_log SET username = 'Eve' WHERE seq = 9")
  await using database = await openSqliteDatabase({ path: node.path })
  expect((await findBreaks(database.audit)).map(({ seq }) => seq)).toEqual([3, 9])
})

test('a part is checked from an entry that is taken as it is, and no more of it than was asked for', async () => {
  await using node = await written()
  await using database = await openSqliteDatabase({ path: node.path })
  const [fifth] = (await database.audit.read({ after: 4, limit: 1 })) as [AuditEntry]
  expect(await checkChain(database.audit, { after: 2, limit: 3 })).toEqual({
    checked: 3,
    head: { seq: 5, hash: fifth.hash },
    broken: null,
    done: false,
  })
  expect(await checkChain(database.audit, { after: 5, limit: 100 })).toMatchObject({ checked: 7, done: true })
  await expect(checkChain(database.audit, { after: 99, limit: 1 })).rejects.toMatchObject({ code: 'invalid_cursor' })
})
