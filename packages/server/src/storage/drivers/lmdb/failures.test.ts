import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLmdbKeyValue } from './key-value.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aicm-lmdb-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('what put has resolved for is there after the server was killed', async () => {
  const program = `
    import { openLmdbKeyValue } from './key-value.ts'
    const store = openLmdbKeyValue({ path: process.argv[1] })
    await store.put('process/1', { pid: 7 })
    console.log('stored')
    setInterval(() => {}, 1000)
  `
  const path = join(folder, 'kv')
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, path], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), exited])
  child.kill('SIGKILL')
  expect(await exited).toEqual([null, 'SIGKILL'])
  await using store = openLmdbKeyValue({ path })
  expect(await store.get('process/1')).toEqual({ pid: 7 })
})

test('a store opened again has what was put before it was closed, awaited or not', async () => {
  const first = openLmdbKeyValue({ path: folder })
  const put = first.put('key', 1)
  await first[Symbol.asyncDispose]()
  await put
  await using second = openLmdbKeyValue({ path: folder })
  expect(await second.get('key')).toBe(1)
})

test('a folder that cannot be opened is named in the error', async () => {
  const path = join(folder, 'file')
  await writeFile(path, '')
  expect(() => openLmdbKeyValue({ path })).toThrowError(
    expect.objectContaining({ code: 'storage_unavailable', message: expect.stringContaining(path) }),
  )
})

const makeStore = async (): Promise<Buffer> => {
  await using store = openLmdbKeyValue({ path: folder })
  await store.put('key', 1)
  return readFile(join(folder, 'data.mdb'))
}

test.each([
  ['another file', () => Buffer.from('This is a letter, not a store. '.repeat(1000))],
  ['zeros', () => Buffer.alloc(40_000)],
  ['a store whose first page is lost', (store: Buffer) => store.fill(0, 0, 4096)],
  ['a store of which only the beginning is there', (store: Buffer) => store.subarray(0, 4096)],
  ['the first bytes of a store', (store: Buffer) => store.subarray(0, 30)],
])('%s is refused, instead of ending the server', async (_, damage) => {
  await writeFile(join(folder, 'data.mdb'), damage(await makeStore()))
  expect(() => openLmdbKeyValue({ path: folder })).toThrowError(
    expect.objectContaining({
      code: 'storage_unavailable',
      message: expect.stringContaining('damaged'),
      hint: expect.stringContaining('Move the folder'),
    }),
  )
})

test('an empty file becomes a store', async () => {
  await writeFile(join(folder, 'data.mdb'), '')
  expect((await makeStore()).length).toBeGreaterThan(0)
})

// Whoever may not make a network namespace may not mount a disk either.
requires('root', 'net-namespace')('a full disk refuses what does not fit, and nothing else', async () => {
  await using disk = await mountSmallDisk(1024)
  await using store = openLmdbKeyValue({ path: join(disk.path, 'kv') })
  await store.put('kept', 'kept')
  const [large, small] = await Promise.allSettled([store.put('large', 'x'.repeat(2_000_000)), store.put('small', 1)])
  expect(large).toMatchObject({ status: 'rejected', reason: { code: 'storage_full' } })
  expect(small.status).toBe('fulfilled')
  expect(await store.list('')).toEqual([
    { key: 'kept', value: 'kept' },
    { key: 'small', value: 1 },
  ])
  await store.put('kept', 'changed')
  expect(await store.get('kept')).toBe('changed')
})
