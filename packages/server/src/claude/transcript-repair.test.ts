import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { makeFifo } from '../process/fifo.ts'
import { projectName, removeTranscript } from './transcript.ts'
import { mendConfig, mendTranscript } from './transcript-repair.ts'

const claudeSessionId = '11111111-0000-4000-8000-000000000001'
const now = Date.parse('2026-11-25T12:00:00.000Z')
const name = `${claudeSessionId}.jsonl`
const backup = `${name}.damaged-20261125T120000000Z`

const uuidOf = (n: number): string => `00000000-0000-4000-8000-${`${n}`.padStart(12, '0')}`
const json = (value: unknown): string => `${JSON.stringify(value)}\n`

/** A message of claude's record, the `n`th; its parent is the one before unless told. */
const message = (n: number, type: 'user' | 'assistant', content: unknown, more: Record<string, unknown> = {}): string =>
  json({
    parentUuid: n === 1 ? null : uuidOf(n - 1),
    isSidechain: false,
    type,
    message: { role: type, content },
    uuid: uuidOf(n),
    ...more,
  })
const said = (text: string) => [{ type: 'text', text }]
const use = (id: string) => [{ type: 'tool_use', id, name: 'Bash', input: {} }]
const result = (id: string) => [{ type: 'tool_result', tool_use_id: id, content: 'done' }]
const mark = (n: number): string => json({ type: 'last-prompt', lastPrompt: 'a prompt', leafUuid: uuidOf(n) })

const turns = [
  message(1, 'user', 'first'),
  message(2, 'assistant', said('one')),
  mark(2),
  message(3, 'user', 'second'),
  message(4, 'assistant', use('toolu_1')),
  message(5, 'user', result('toolu_1')),
  message(6, 'assistant', said('two')),
]
const whole = turns.join('')

const openHome = async () => {
  const folder = await tempDir()
  const home = join(folder.path, 'home')
  const workspace = '/srv/work.space'
  const projects = join(home, '.claude', 'projects')
  const project = join(projects, projectName(workspace))
  mkdirSync(project, { recursive: true })
  const file = join(project, name)
  return {
    ...{ home, projects, project, file },
    mend: () => mendTranscript({ home, workspace, claudeSessionId }, now),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

test('a whole transcript is left alone', async () => {
  await using at = await openHome()
  writeFileSync(at.file, whole)
  expect(await at.mend()).toEqual({ state: { found: true, openToolUses: [], complete: true }, repair: undefined })
  expect(readdirSync(at.project)).toEqual([name])
})

const tails = {
  'half a line': whole.slice(0, 120),
  'half a line in the middle of a character': Buffer.from('{"text":"ü').subarray(0, 10),
  NULs: '\0'.repeat(5000),
  'half a line and NULs': `${whole.slice(0, 120)}${'\0'.repeat(5000)}`,
  'several lines that are not JSON': 'x\n{"a":\n\0\0\n',
}
for (const [what, tail] of Object.entries(tails))
  test(`${what} at the end: cut off, kept beside it, and told`, async () => {
    await using at = await openHome()
    writeFileSync(at.file, whole)
    appendFileSync(at.file, tail)
    const damaged = readFileSync(at.file)
    const { state, repair } = await at.mend()
    expect(state).toEqual({ found: true, openToolUses: [], complete: true })
    expect(repair).toEqual({
      text: expect.stringContaining(`${Buffer.byteLength(tail)} bytes were unreadable`),
      backup,
    })
    expect(readFileSync(at.file, 'utf8')).toBe(whole)
    expect(readFileSync(join(at.project, backup))).toEqual(damaged)
    expect(readdirSync(at.project).toSorted()).toEqual([name, backup])
    expect((await at.mend()).repair).toBeUndefined()
  })

test('every cut of a transcript that has a message leaves one that is whole lines, and loses no line before the cut', async () => {
  await using at = await openHome()
  for (let length = turns[0]?.length ?? 0; length < whole.length; length += 7) {
    writeFileSync(at.file, whole.slice(0, length))
    await at.mend()
    rmSync(join(at.project, backup), { force: true })
    const lines = whole.slice(0, length).split('\n').slice(0, -1)
    const left = readFileSync(at.file, 'utf8').trimEnd().split('\n')
    expect(left.slice(0, lines.length)).toEqual(lines)
    for (const line of left) expect(JSON.parse(line)).toBeTypeOf('object')
  }
})

test('a last line that only lacks its newline is no damage', async () => {
  await using at = await openHome()
  writeFileSync(at.file, whole.trimEnd())
  expect(await at.mend()).toMatchObject({ state: { complete: true }, repair: undefined })
})

test('a call without its result is open, and nothing is changed for it: claude closes it by itself', async () => {
  await using at = await openHome()
  writeFileSync(at.file, turns.slice(0, 5).join(''))
  expect(await at.mend()).toEqual({
    state: { found: true, openToolUses: [{ id: 'toolu_1', name: 'Bash' }], complete: false },
    repair: undefined,
  })
})

test('of calls side by side only the one without a result is open; those of sub-agents and of earlier turns are not asked about', async () => {
  await using at = await openHome()
  writeFileSync(
    at.file,
    [
      message(1, 'user', 'first'),
      message(2, 'assistant', use('toolu_of_a_turn_before')),
      message(3, 'user', 'second'),
      message(4, 'assistant', use('toolu_a')),
      message(5, 'assistant', use('toolu_b')),
      message(6, 'user', result('toolu_a'), { parentUuid: uuidOf(4) }),
      message(7, 'assistant', use('toolu_of_a_sub_agent'), { isSidechain: true }),
      message(8, 'user', 'inserted', { isMeta: true, parentUuid: uuidOf(6) }),
    ].join(''),
  )
  expect((await at.mend()).state.openToolUses).toEqual([{ id: 'toolu_b', name: 'Bash' }])
})

test('a message that is missing behind the mark: the mark is moved to the newest message', async () => {
  await using at = await openHome()
  writeFileSync(at.file, turns.toSpliced(3, 1).join(''))
  const { state, repair } = await at.mend()
  expect(state.complete).toBe(true)
  expect(repair).toEqual({ text: expect.stringContaining('message in it is missing'), backup })
  expect(readFileSync(at.file, 'utf8')).toBe(turns.toSpliced(3, 1).join('') + mark(6))
  expect((await at.mend()).repair).toBeUndefined()
})

test('a message that is missing before the mark is left to claude, which joins what is around it', async () => {
  await using at = await openHome()
  const text = turns.toSpliced(3, 1).join('') + mark(6)
  writeFileSync(at.file, text)
  expect((await at.mend()).repair).toBeUndefined()
})

test('what cannot be set aside is not changed, and that is told', async () => {
  await using at = await openHome()
  writeFileSync(at.file, `${whole}{"torn`)
  writeFileSync(join(at.project, backup), 'another')
  const { state, repair } = await at.mend()
  expect(state.complete).toBe(true)
  expect(repair).toEqual({ text: expect.stringContaining('could not be mended: EEXIST'), backup: null })
  expect(readFileSync(at.file, 'utf8')).toBe(`${whole}{"torn`)
  expect(readdirSync(at.project).toSorted()).toEqual([name, backup])
})

test('a circle of parents ends the search too', async () => {
  await using at = await openHome()
  writeFileSync(at.file, message(1, 'user', 'first', { parentUuid: uuidOf(2) }) + message(2, 'assistant', said('one')))
  expect((await at.mend()).state).toMatchObject({ found: true, complete: true })
})

test('of a long transcript only as much of the end is read as tells enough', async () => {
  await using at = await openHome()
  const filler = 'z'.repeat(50_000)
  const lines = Array.from({ length: 300 }, (_, index) =>
    message(index + 1, index % 2 === 0 ? 'user' : 'assistant', said(filler)),
  )
  writeFileSync(
    at.file,
    [...lines, mark(300), message(301, 'user', 'last'), message(302, 'assistant', use('toolu_1'))].join(''),
  )
  expect((await at.mend()).state.openToolUses).toEqual([{ id: 'toolu_1', name: 'Bash' }])
  // The mark far back: more is read, and the gap behind it is found.
  writeFileSync(at.file, [...lines.slice(0, 10), mark(10), ...lines.slice(11)].join(''))
  expect((await at.mend()).repair?.text).toContain('message in it is missing')
})

const hopeless = {
  empty: '',
  'half of its first line': '{"type":"us',
  NULs: '\0'.repeat(3000),
  'without a message': mark(1),
}
for (const [what, text] of Object.entries(hopeless))
  test(`a transcript that is ${what} is told as not found and left as it is`, async () => {
    await using at = await openHome()
    writeFileSync(at.file, text)
    expect(await at.mend()).toEqual({
      state: { found: false, openToolUses: [], complete: false },
      repair: undefined,
    })
    expect(readFileSync(at.file, 'utf8')).toBe(text)
  })

test('NULs without end are not read into memory', async () => {
  await using at = await openHome()
  writeFileSync(at.file, whole)
  await truncate(at.file, 20 * 1024 ** 3)
  const before = process.memoryUsage.rss()
  expect((await at.mend()).state.found).toBe(false)
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024)
})

test('a transcript is found where its workspace was before it was moved', async () => {
  await using at = await openHome()
  mkdirSync(join(at.projects, '-elsewhere'))
  writeFileSync(join(at.projects, '-elsewhere', name), turns.slice(0, 5).join(''))
  expect((await at.mend()).state).toMatchObject({ found: true, complete: false })
})

test('a link instead of the transcript, or of a folder on the way, leads the server nowhere', async () => {
  await using at = await openHome()
  const secret = join(at.home, '..', 'secret')
  mkdirSync(secret)
  writeFileSync(join(secret, name), `${whole}{"torn`)
  symlinkSync(join(secret, name), at.file)
  expect((await at.mend()).state.found).toBe(false)
  await using other = await openHome()
  const folder = join(other.projects, '-linked')
  symlinkSync(secret, folder)
  expect((await other.mend()).state.found).toBe(false)
  expect(readdirSync(secret)).toEqual([name])
})

test('a FIFO instead of the transcript does not hold up the start', async () => {
  await using at = await openHome()
  await makeFifo(at.file)
  expect((await at.mend()).state.found).toBe(false)
})

test('with its conversation goes what was set aside of it', async () => {
  await using at = await openHome()
  writeFileSync(at.file, `${whole}{"torn`)
  await at.mend()
  writeFileSync(join(at.project, 'another.jsonl'), whole)
  await removeTranscript(at.home, claudeSessionId)
  expect(readdirSync(at.project)).toEqual(['another.jsonl'])
})

// --- claude's settings ------------------------------------------------------------------------------------------------------

const damagedSettings = { empty: '', cut: '{"projects":{"', NULs: '\0'.repeat(100), 'no object': '7' }
for (const [what, text] of Object.entries(damagedSettings))
  test(`settings that are ${what} are set aside for the newest copy that can be read`, async () => {
    await using at = await openHome()
    const folder = join(at.home, '.claude')
    mkdirSync(join(folder, 'backups'))
    writeFileSync(join(folder, '.claude.json'), text)
    const copies = { 1000: '{"copy":1}', 2000: '{"copy":2}', 3000: '{"cop' }
    for (const [time, copy] of Object.entries(copies))
      writeFileSync(join(folder, 'backups', `.claude.json.backup.${time}`), copy)
    const repair = await mendConfig(at.home, now)
    expect(repair?.backup).toBe('.claude.json.damaged-20261125T120000000Z')
    expect(readFileSync(join(folder, repair?.backup ?? ''), 'utf8')).toBe(text)
    expect(readFileSync(join(folder, '.claude.json'), 'utf8')).toBe('{"copy":2}')
    expect(await mendConfig(at.home, now)).toBeUndefined()
  })

test('damaged settings without a copy are set aside; settings that are whole, or not there, are left alone', async () => {
  await using at = await openHome()
  const folder = join(at.home, '.claude')
  expect(await mendConfig(at.home, now)).toBeUndefined()
  writeFileSync(join(folder, '.claude.json'), '{}')
  expect(await mendConfig(at.home, now)).toBeUndefined()
  writeFileSync(join(folder, '.claude.json'), '{')
  expect((await mendConfig(at.home, now))?.text).toContain('without them')
  expect(readdirSync(folder).toSorted()).toEqual(['.claude.json.damaged-20261125T120000000Z', 'projects'])
})
