import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { tempDir } from '@aicm/testing/temp-dir'
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { AppError } from '../lib/app-error.ts'
import { openMemoryKeyValue } from '../storage/drivers/memory/key-value.ts'
import { createStorageCheck } from './storage-check.ts'

test('a store that works is found so, and nothing is left in the data folder', async () => {
  await using dir = await tempDir()
  let puts = 0
  const kv = openMemoryKeyValue()
  const check = createStorageCheck(dir.path, { ...kv, put: (key, value) => (puts++, kv.put(key, value)) })
  expect(await Promise.all([check(), check(), check()])).toEqual(Array.from({ length: 3 }, () => ({ error: null })))
  expect(puts).toBe(1)
  expect(await readdir(dir.path)).toEqual([])
})

test('a store that refuses, forgets, or is not there is found out', async () => {
  await using dir = await tempDir()
  const kv = openMemoryKeyValue()
  const full = async () => Promise.reject(new AppError('storage_full', 'The disk is full.'))
  expect(await createStorageCheck(dir.path, { ...kv, put: full })()).toEqual({
    error: 'The disk of the data folder is full.',
  })
  expect(await createStorageCheck(dir.path, { ...kv, put: async () => undefined })()).toEqual({
    error: expect.stringContaining('gave back something else'),
  })
  expect(await createStorageCheck(join(dir.path, 'gone'), kv)()).toEqual({ error: expect.stringContaining('ENOENT') })
})

// Whoever may not make a network namespace may not mount a disk either.
requires('root', 'net-namespace')('a full disk is found out, and that there is room again', async () => {
  await using disk = await mountSmallDisk(256)
  const kv = openMemoryKeyValue()
  expect(await createStorageCheck(disk.path, kv)()).toEqual({ error: null })
  const filler = join(disk.path, 'filler')
  await writeFile(filler, Buffer.alloc(1024 * 1024)).catch(() => undefined)
  expect(await createStorageCheck(disk.path, kv)()).toEqual({ error: 'The disk of the data folder is full.' })
  await writeFile(filler, '')
  expect(await createStorageCheck(disk.path, kv)()).toEqual({ error: null })
})
