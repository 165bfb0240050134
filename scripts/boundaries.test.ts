import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkBoundaries, importsOf, roomOf } from './boundaries.js'
import { keepers, rooms } from './rooms.js'

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'aicm-rooms-'))
})
afterEach(() => rm(root, { recursive: true }))

const plant = async (file: string, text: string) => {
  await mkdir(dirname(join(root, file)), { recursive: true })
  await writeFile(join(root, file), text)
}

test('a folder without sources is refused: nothing was checked', () => {
  expect(checkBoundaries(root).problems).toEqual([expect.stringContaining('nothing was checked')])
})

test('a planted import against the arrows is refused, with its place', async () => {
  await plant(
    'packages/server/src/session/step.ts',
    "import type { Id } from '@aicm/protocol'\nimport { go } from '../gateway/http/go.ts'\n",
  )
  const { files, imports, problems } = checkBoundaries(root)
  expect({ files, imports }).toEqual({ files: 1, imports: 2 })
  expect(problems).toEqual([
    expect.stringMatching(
      /session\/step\.ts:2: packages\/server\/src\/session may not import packages\/server\/src\/gateway/,
    ),
  ])
})

test.each([
  ['packages/server/src/gateway/http/a.ts', "import { open } from '../../storage/drivers/sqlite/open.ts'"],
  ['packages/server/src/storage/event-store.ts', "export { open } from './drivers/sqlite/open.ts'"],
  ['packages/server/src/session/a.ts', "import { spawn } from 'node:child_process'"],
  ['packages/server/src/gateway/a.ts', "import Database from 'better-sqlite3'"],
  ['packages/server/src/claude/a.ts', "import {\n  one,\n  two,\n} from '../session/step.ts'"],
  ['packages/server/src/gateway/a.ts', "const wire = await import('../claude/wire.ts')"],
  ['packages/server/src/session/a.ts', "import type { Line } from '../claude/wire.ts'"],
  ['packages/server/src/lib/a.ts', "import { x } from '../config/options.ts'"],
  ['packages/server/src/process/a.ts', "import { fake } from '@aicm/testing'"],
  ['packages/client/src/a.ts', "import { readFile } from 'node:fs/promises'"],
  ['packages/client/src/a.ts', "import { x } from '@aicm/server'"],
  ['packages/cli/src/a.ts', "import { x } from '../../server/src/main.ts'"],
  ['packages/web/src/a.tsx', "import '@aicm/cli'"],
  ['packages/broker/src/a.ts', "import { x } from '@aicm/client'"],
  ['packages/protocol/src/a.ts', "import { x } from '@aicm/broker/token'"],
  ['packages/server/src/auth/a.ts', "import { x } from './a.test.ts'"],
])('%s may not say: %s', async (file, text) => {
  await plant(file, `${text}\n`)
  expect(checkBoundaries(root).problems).toHaveLength(1)
})

test.each([
  ['packages/server/src/main.ts', "import { open } from './storage/drivers/sqlite/open.ts'"],
  ['packages/server/src/session/step.test.ts', "import { open } from '../storage/drivers/memory/open.ts'"],
  ['packages/server/src/process/launch.ts', "import { spawn } from 'node:child_process'"],
  ['packages/server/src/storage/drivers/sqlite/open.ts', "import Database from 'better-sqlite3'"],
  ['packages/server/src/session/a.ts', "import { encode } from '../claude/encode.ts'"],
  ['packages/client/src/a.ts', "import { routes } from '@aicm/protocol'"],
  ['packages/web/src/a.tsx', "import sheet from './styles.css?inline'"],
])('%s may say: %s', async (file, text) => {
  await plant(file, `${text}\n`)
  expect(checkBoundaries(root).problems).toEqual([])
})

test('a source file outside every room is refused, and the message says what to do', async () => {
  await plant('packages/server/src/helpers/misc.ts', "import 'node:fs'\n")
  expect(checkBoundaries(root).problems).toEqual([
    expect.stringMatching(/misc\.ts: in no room\. Add its folder to scripts\/rooms\.js/),
  ])
})

test('imports are found in every form, and not in comments', () => {
  const text = [
    "import a, { type B } from 'one'",
    "import 'two'",
    "export * from './three.ts'",
    'export {',
    '  b,',
    "} from './four.ts'",
    "const five = () => import('five')",
    " * @type {import('six').Six}",
    "// import seven from 'seven'",
    "const eight = require('eight')",
    'import type nine from "nine"',
  ].join('\n')
  expect(importsOf(text).map(({ specifier }) => specifier)).toEqual([
    'one',
    'two',
    './three.ts',
    './four.ts',
    'nine',
    'five',
    'eight',
  ])
})

test('the table has no circles, and every name in it is a room', () => {
  const paths = new Set(rooms.map(({ path }) => path))
  const visit = (path: string, above: readonly string[]): void => {
    expect(above, `${[...above, path].join(' → ')}`).not.toContain(path)
    const room = roomOf(path)
    if (room === undefined || room.may === 'anything') return
    for (const next of room.may) {
      expect(paths).toContain(next)
      visit(next, [...above, path])
    }
  }
  for (const { path } of rooms) visit(path, [])
  for (const place of keepers.flatMap(({ within, onlyIn }) => [
    ...onlyIn,
    ...(within.endsWith('/src') ? [] : [within]),
  ])) {
    expect(paths).toContain(place)
  }
})
