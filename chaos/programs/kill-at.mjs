// Loaded into a server before its own program (`node --import`): the process kills itself when it passes a named point for the
// n-th time, `KILL_AT=point:n`. The server has no hooks for this: the points are calls that it makes of SQLite and of Node.
//
// before-append   a transaction is about to begin
// in-append       a message was inserted, its transaction is open
// after-append    the transaction is committed, the disk not yet asked to sync
// before-ack      it is synced, and nobody has been told
// in-adoption     a process's journal is opened for reading, or its input for writing
// in-migration    a statement of a migration is about to run, or its transaction to be committed
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import BetterSqlite from 'better-sqlite3'

const [wanted, count] = (process.env['KILL_AT'] ?? '').split(':')
let left = Number(count)

/** @param {string} point */
const pass = (point) => {
  if (point === wanted && --left === 0) process.kill(process.pid, 'SIGKILL')
}

/** @type {Record<string, { before?: string, after?: string }>} */
const statements = {
  'BEGIN IMMEDIATE': { before: 'before-append' },
  COMMIT: { after: 'after-append' },
  'INSERT INTO events': { after: 'in-append' },
}

const { prepare, exec } = BetterSqlite.prototype
let migrating = false

Object.assign(BetterSqlite.prototype, {
  /** @this {import('better-sqlite3').Database} @param {string} sql */
  prepare(sql) {
    if (migrating) pass('in-migration')
    /** @type {{ run(...parameters: unknown[]): unknown }} */
    const statement = prepare.call(this, sql)
    const points = Object.entries(statements).find(([start]) => sql.startsWith(start))?.[1]
    if (points === undefined) return statement
    const run = statement.run.bind(statement)
    return Object.assign(statement, {
      /** @param {unknown[]} parameters */
      run: (...parameters) => {
        if (points.before !== undefined) pass(points.before)
        const result = run(...parameters)
        if (points.after !== undefined) pass(points.after)
        return result
      },
    })
  },
  /** @this {import('better-sqlite3').Database} @param {string} sql */
  exec(sql) {
    if (sql === 'COMMIT') pass('in-migration')
    const result = exec.call(this, sql)
    if (sql === 'BEGIN IMMEDIATE' || sql === 'COMMIT') {
      migrating = sql === 'BEGIN IMMEDIATE'
      pass('in-migration')
    }
    return result
  },
})

const { fdatasync, openSync } = fs
const open = fs.promises.open

Object.assign(fs, {
  /** @param {number} fd @param {(error: Error | null) => void} told */
  fdatasync: (fd, told) =>
    fdatasync(fd, (error) => {
      pass('before-ack')
      told(error)
    }),
  /** @param {Parameters<typeof openSync>} given */
  openSync: (...given) => {
    if (String(given[0]).endsWith('stdin.fifo') && given[1] === (fs.constants.O_WRONLY | fs.constants.O_NONBLOCK))
      pass('in-adoption')
    return openSync(...given)
  },
})
/** @param {Parameters<typeof open>} given */
fs.promises.open = (...given) => {
  if (String(given[0]).endsWith('stdout.ndjson')) pass('in-adoption')
  return open(...given)
}
syncBuiltinESMExports()
