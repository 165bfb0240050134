import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { writeAccounts } from '../isolation/accounts.ts'
import { defaultResourceLimits } from '../config/resource-limits.ts'
import type { HelperEntry, HelperRequest } from './helper-protocol.ts'
import { startHelper, type Helper } from './helper-process.ts'

const test = requires('linux', 'prlimit')
const secret = 'outside-7c1d90'

/** A helper for `workspace`, beside which there is `outside/secret`. */
const setUp = async (level: 'process' | 'sealed' = 'process', exact = true) => {
  const dir = await tempDir()
  const at = (...names: string[]): string => join(dir.path, 'workspace', ...names)
  const [outside, accountsDir] = [join(dir.path, 'outside'), join(dir.path, 'accounts')]
  for (const path of [at(), outside]) mkdirSync(path)
  await writeAccounts(accountsDir)
  writeFileSync(join(outside, 'secret'), secret)
  const helper = startHelper({
    ...{ path: at(), exact, accountsDir },
    walls: { level, owner: undefined, limits: { memory: null, ...defaultResourceLimits } },
  })
  const ask = (request: HelperRequest) => helper.ask(request)
  return {
    ...{ at, outside, helper, ask },
    list: async (path = '', limit = 100): Promise<HelperEntry[]> =>
      (await ask({ op: 'list', path, limit })).entries as HelperEntry[],
    [Symbol.asyncDispose]: async () => {
      await helper.end()
      await dir[Symbol.asyncDispose]()
    },
  }
}

const entryOf = (answer: Record<string, unknown>): HelperEntry => answer.entry as HelperEntry

const contentOf = async (helper: Helper, path: string): Promise<string> => {
  const { size } = entryOf(await helper.ask({ op: 'open', path }))
  return Buffer.concat(await Array.fromAsync(helper.read(0, size ?? 0))).toString()
}

const write = async (
  helper: Helper,
  path: string,
  content: string,
  expect?: string | null,
): Promise<{ before: HelperEntry | null; after: HelperEntry }> => {
  const before = entryOf(await helper.ask({ op: 'create', path }))
  await helper.send(Buffer.from(content))
  return { before, after: entryOf(await helper.ask({ op: 'commit', expect })) }
}

const ops = (path: string): HelperRequest[] => [
  { op: 'open', path },
  { op: 'create', path },
  { op: 'remove', path },
  { op: 'makeFolder', path },
  { op: 'list', path, limit: 1 },
  { op: 'stat', path },
]

for (const level of ['process', 'sealed'] as const) {
  const test = level === 'sealed' ? requires('bwrap', 'prlimit') : requires('linux', 'prlimit')
  test(`${level}: files are written, read, listed, made and removed`, async () => {
    await using set = await setUp(level)
    const { helper, ask } = set
    expect(await write(helper, 'a.txt', 'first')).toMatchObject({ before: null, after: { name: 'a.txt', size: 5 } })
    expect(readFileSync(set.at('a.txt'), 'utf8')).toBe('first')
    await ask({ op: 'makeFolder', path: 'folder' })
    const large = 'x'.repeat(300_000)
    await write(helper, 'folder/large', large)
    expect(await contentOf(helper, 'folder/large')).toBe(large)
    await ask({ op: 'open', path: 'folder/large' })
    expect(Buffer.concat(await Array.fromAsync(helper.read(299_998, 2))).toString()).toBe('xx')
    expect((await set.list()).map(({ name, type, size }) => [name, type, size])).toEqual([
      ['a.txt', 'file', 5],
      ['folder', 'folder', null],
    ])
    await expect(ask({ op: 'remove', path: 'folder' })).rejects.toMatchObject({ code: 'ENOTEMPTY' })
    await ask({ op: 'remove', path: 'folder/large' })
    await ask({ op: 'remove', path: 'folder' })
    expect(readdirSync(set.at())).toEqual(['a.txt'])
  })
}

test('a path is relative, and has no names that lead elsewhere', async () => {
  await using set = await setUp()
  mkdirSync(set.at('folder'))
  const bad = [
    '/etc/passwd',
    '//etc',
    '..',
    '../outside/secret',
    'folder/..',
    'folder/../../outside/secret',
    '.',
    './a',
  ]
  for (const path of [...bad, 'folder//a', 'folder/', '/', 'a\0b', 'folder/\0'])
    for (const request of ops(path))
      await expect(set.ask(request), `${request.op} ${JSON.stringify(path)}`).rejects.toMatchObject({
        code: 'BAD_PATH',
      })
  for (const request of ops('').filter(({ op }) => op !== 'list'))
    await expect(set.ask(request), request.op).rejects.toMatchObject({ code: 'NOT_FILE' })
  for (const path of ['x'.repeat(256), `folder/${'é'.repeat(128)}`])
    await expect(set.ask({ op: 'open', path })).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  expect(readFileSync(join(set.outside, 'secret'), 'utf8')).toBe(secret)
})

test('a link is shown, and neither read, written through, listed nor walked through; it can be removed', async () => {
  await using set = await setUp()
  const { helper, ask } = set
  symlinkSync(set.outside, set.at('folder'))
  symlinkSync(join(set.outside, 'secret'), set.at('file'))
  symlinkSync('loop', set.at('loop'))
  symlinkSync(join(set.outside, 'made'), set.at('dangling'))
  symlinkSync('/proc/self/root', set.at('proc'))
  mkdirSync(set.at('inner'))
  symlinkSync('inner', set.at('inward'))
  expect((await set.list()).filter(({ type }) => type === 'link').map(({ name, target }) => [name, target])).toEqual([
    ['dangling', join(set.outside, 'made')],
    ['file', join(set.outside, 'secret')],
    ['folder', set.outside],
    ['inward', 'inner'],
    ['loop', 'loop'],
    ['proc', '/proc/self/root'],
  ])
  for (const path of ['file', 'folder', 'dangling', 'loop', 'proc', 'inward'])
    for (const request of ops(path).filter(({ op }) => ['open', 'create', 'list'].includes(op)))
      await expect(ask(request), `${request.op} ${path}`).rejects.toMatchObject({ code: 'LINK' })
  for (const path of ['folder/secret', 'folder/new', `proc${set.outside}/secret`, 'inward/x', 'loop/x'])
    for (const request of ops(path))
      await expect(ask(request), `${request.op} ${path}`).rejects.toMatchObject({ code: 'LINK' })
  await ask({ op: 'remove', path: 'file' })
  await ask({ op: 'remove', path: 'folder' })
  expect(readFileSync(join(set.outside, 'secret'), 'utf8')).toBe(secret)
  expect(readdirSync(set.outside)).toEqual(['secret'])
  // It is as good as before.
  await write(helper, 'file', 'inside')
  expect(statSync(set.at('file')).isFile()).toBe(true)
})

test('what is no file is neither waited for nor woken', async () => {
  await using set = await setUp()
  execFileSync('mkfifo', [set.at('fifo')])
  execFileSync('python3', [
    '-c',
    'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
    set.at('socket'),
  ])
  if (process.getuid?.() === 0) execFileSync('mknod', [set.at('zero'), 'c', '1', '5'])
  const others = (await set.list()).filter(({ type }) => type === 'other').map(({ name }) => name)
  expect(others).toEqual(expect.arrayContaining(['fifo', 'socket']))
  for (const path of [...others, '']) {
    await expect(set.ask({ op: 'open', path })).rejects.toMatchObject({ code: 'NOT_FILE' })
    await expect(set.ask({ op: 'create', path })).rejects.toMatchObject({ code: 'NOT_FILE' })
  }
  await expect(set.ask({ op: 'list', path: 'fifo', limit: 1 })).rejects.toMatchObject({ code: 'NOT_FOLDER' })
  await set.ask({ op: 'remove', path: 'fifo' })
})

test('names are any text; those that are none are shown with their bytes, and said to be so', async () => {
  await using set = await setUp()
  const names = [
    ' ',
    '-rf',
    'a b',
    'line\nline',
    '\u202egnp.exe',
    '\u00e9',
    'e\u0301',
    '"q"',
    '\\',
    '%2e%2e',
    '𝒳',
    'x'.repeat(255),
  ]
  for (const name of names) {
    await write(set.helper, name, name)
    expect(await contentOf(set.helper, name)).toBe(name)
  }
  expect(readdirSync(set.at()).toSorted()).toEqual(names.toSorted())
  writeFileSync(Buffer.concat([Buffer.from(`${set.at()}/`), Buffer.from([0x62, 0xff, 0x5c])]), '')
  const listed = await set.list()
  expect(listed.filter(({ escaped }) => !escaped).map(({ name }) => name)).toEqual(
    names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  )
  expect(listed.filter(({ escaped }) => escaped)).toMatchObject([{ name: 'b\\xff\\x5c', type: 'file' }])
})

test('a large folder comes in pages, each name once', async () => {
  await using set = await setUp()
  const names = Array.from({ length: 2500 }, (_, at) => `file-${at}`).toSorted()
  for (const name of names) writeFileSync(set.at(name), '')
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await set.ask({ op: 'list', path: '', limit: 400, ...(after !== undefined && { after }) })
    seen.push(...(page.entries as HelperEntry[]).map(({ name }) => name))
    after = page.next as string | undefined
  } while (after !== undefined)
  expect(seen).toEqual(names)
})

test('nothing is replaced that is not what was expected, and what is replaced keeps its permissions', async () => {
  await using set = await setUp()
  const { helper } = set
  const first = await write(helper, 'a', '1', null)
  await expect(write(helper, 'a', '2', null)).rejects.toMatchObject({ code: 'CHANGED' })
  chmodSync(set.at('a'), 0o750)
  await expect(write(helper, 'a', '2', first.after.etag)).rejects.toMatchObject({ code: 'CHANGED' })
  const seen = entryOf(await helper.ask({ op: 'stat', path: 'a' }))
  const second = await write(helper, 'a', '2', seen.etag)
  expect(second.after.etag).not.toBe(seen.etag)
  expect(statSync(set.at('a')).mode & 0o777).toBe(0o750)
  expect(entryOf(await helper.ask({ op: 'stat', path: 'a' }))).toEqual(second.after)
  // What has come between the beginning and the end.
  await helper.ask({ op: 'create', path: 'b' })
  writeFileSync(set.at('b'), 'theirs')
  await expect(helper.ask({ op: 'commit', expect: null })).rejects.toMatchObject({ code: 'CHANGED' })
  await helper.ask({ op: 'create', path: 'c' })
  symlinkSync(join(set.outside, 'secret'), set.at('c'))
  await expect(helper.ask({ op: 'commit' })).rejects.toMatchObject({ code: 'LINK' })
  expect(readFileSync(set.at('b'), 'utf8')).toBe('theirs')
  expect(readFileSync(join(set.outside, 'secret'), 'utf8')).toBe(secret)
  expect(readdirSync(set.at())).toEqual(['a', 'b', 'c'])
})

test('a write that is left leaves nothing behind, and its helper ends', async () => {
  await using set = await setUp()
  await set.helper.ask({ op: 'create', path: 'a' })
  await set.helper.send(Buffer.alloc(100_000))
  expect(set.helper.isResting()).toBe(false)
  await until('it has begun', () => readdirSync(set.at()).length === 1)
  await set.helper.end()
  expect(readdirSync(set.at())).toEqual([])
  await expect(set.ask({ op: 'list', path: '', limit: 1 })).rejects.toThrow('the helper is gone')
})

test('a workspace that lies where others can write must be what it was', async () => {
  await using set = await setUp()
  await set.helper.end()
  renameSync(set.at(), set.at('..', 'away'))
  symlinkSync(set.outside, set.at())
  for (const level of ['process', 'sealed'] as const) {
    const start = async () => {
      const helper = startHelper({
        ...{ path: set.at(), exact: true, accountsDir: set.at('..', 'accounts') },
        walls: { level, owner: undefined, limits: { memory: null, ...defaultResourceLimits } },
      })
      try {
        return await helper.ask({ op: 'list', path: '', limit: 1 })
      } finally {
        await helper.end()
      }
    }
    await expect(start(), level).rejects.toThrow('is not what it was')
  }
})
