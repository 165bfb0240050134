import { tempDir } from '@aicm/testing/temp-dir'
import { statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AppError } from '../../../lib/app-error.ts'
import { createConnection } from './connection.ts'
import { createGroupCommit } from './group-commit.ts'
import { configure, openFile } from './open-file.ts'
import { createWalSync, type WalSync } from './wal-sync.ts'

const tableFile = (path: string) => {
  const file = openFile(path)
  file.exec('CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY)')
  const insert = file.prepare('INSERT INTO rows DEFAULT VALUES')
  return { file, insert: () => void insert.run() }
}

/** The disk, as slow as the test wants it. */
const heldSync = () => {
  const held = Promise.withResolvers<void>()
  held.promise.catch(() => undefined)
  let syncing: Promise<void> | undefined
  let syncs = 0
  const wal: WalSync = {
    sync: () => {
      syncs++
      syncing = held.promise.finally(() => (syncing = undefined))
      return syncing
    },
    syncing: () => syncing,
    failed: () => undefined,
    close: async () => undefined,
  }
  return { wal, held, syncs: () => syncs }
}

test('a change is told as written before it is synced, and as stored after that', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const { wal, held } = heldSync()
  const group = createGroupCommit(file, wal)
  const told: string[] = []
  const stored = group.run(insert, () => told.push('written')).then(() => told.push('stored'))
  await expect.poll(() => told).toEqual(['written'])
  expect(file.prepare('SELECT count(*) AS count FROM rows').get()).toEqual({ count: 1 })
  held.resolve()
  await stored
  expect(told).toEqual(['written', 'stored'])
  await group.close()
  file.close()
})

test('what the writing of a change brings about is synced with it', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const { wal, held, syncs } = heldSync()
  held.resolve()
  const group = createGroupCommit(file, wal)
  const second = Promise.withResolvers<void>()
  await group.run(insert, () => group.run(insert).then(second.resolve, second.reject))
  await second.promise
  expect(syncs()).toBe(1)
  expect(file.prepare('SELECT count(*) AS count FROM rows').get()).toEqual({ count: 2 })
  await group.close()
  file.close()
})

test('changes that come while the disk is at work share one transaction when it is free again', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const { wal, held } = heldSync()
  const group = createGroupCommit(file, wal)
  const told: string[] = []
  const run = (name: string): Promise<void> => group.run(insert, () => told.push(name))
  void group.run(insert)
  await expect.poll(() => wal.syncing() !== undefined).toBe(true)
  const others = [run('a')]
  await setImmediate()
  others.push(run('b'))
  await setImmediate()
  expect(told).toEqual([])
  held.resolve()
  await Promise.all(others)
  expect(told).toEqual(['a', 'b'])
  await group.close()
  file.close()
})

test('one that is refused takes nothing else with it, and does nothing by halves', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const group = createGroupCommit(file)
  const told: string[] = []
  const outcomes = await Promise.allSettled([
    group.run(insert, () => told.push('first')),
    group.run(
      () => {
        insert()
        throw new Error('refused')
      },
      () => told.push('refused'),
    ),
    group.run(insert, () => told.push('last')),
  ])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(told).toEqual(['first', 'last'])
  expect(file.prepare('SELECT count(*) AS count FROM rows').get()).toEqual({ count: 2 })
  await group.close()
  file.close()
})

test('what the disk did not take is not acknowledged', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const { wal, held } = heldSync()
  const group = createGroupCommit(file, wal)
  const stored = group.run(insert, () => held.reject(new Error('the disk is gone')))
  await expect(stored).rejects.toThrow('the disk is gone')
  await group.close()
  file.close()
})

test('after a failed sync nothing more is written', async () => {
  await using dir = await tempDir()
  const { file, insert } = tableFile(join(dir.path, 'a.db'))
  const failed = new AppError('storage_unavailable', 'the disk is gone')
  const group = createGroupCommit(file, {
    sync: () => Promise.resolve(),
    syncing: () => undefined,
    failed: () => failed,
    close: async () => undefined,
  })
  await expect(group.run(insert)).rejects.toBe(failed)
  expect(file.prepare('SELECT count(*) AS count FROM rows').get()).toEqual({ count: 0 })
  await group.close()
  file.close()
})

test('who writes a statement by itself has it synced, outside of a transaction that a failure has left open', async () => {
  await using dir = await tempDir()
  const file = openFile(join(dir.path, 'a.db'))
  configure(file)
  file.exec('CREATE TABLE levels (level INTEGER)')
  const connection = createConnection(file)
  const level = 'SELECT synchronous FROM pragma_synchronous'
  const insert = `INSERT INTO levels ${level}`
  const [normal, full] = [1, 2]
  connection.synced.prepare(insert).run([])
  expect(connection.synced.prepare(`${insert} RETURNING level`).all([])).toEqual([{ level: full }])
  expect(connection.synced.prepare(level).all([])).toEqual([{ synchronous: normal }])
  expect(() => connection.synced.prepare('INSERT INTO levels VALUES (abs(-9223372036854775808))').run([])).toThrow()
  await connection.write(() => void file.prepare(insert).run())
  file.exec(`BEGIN; ${insert}`)
  connection.synced.prepare(insert).run([])
  expect(file.prepare('SELECT level FROM levels').pluck().all()).toEqual([full, full, normal, full])
  await connection.close()
})

test('the log has its size before it is written, so that a sync has no file system to bring up to date', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'a.db')
  writeFileSync(`${path}-wal`, 'begun')
  const wal = createWalSync(path)
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(4_000_000)
  await Promise.all([wal.sync(), wal.sync(), wal.sync()])
  await wal.close()
})

test('after one failed sync none is believed any more', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'a.db')
  // A device that cannot be synced.
  symlinkSync('/dev/null', `${path}-wal`)
  const wal = createWalSync(path)
  const failed = await Promise.allSettled([wal.sync(), wal.sync()])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await expect(wal.sync()).rejects.toMatchObject({ code: 'storage_unavailable' })
  await wal.close()
})
