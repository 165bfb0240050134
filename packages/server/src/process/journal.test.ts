import { appendFile, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '@aicm/testing/temp-dir'
import { followJournal } from './journal.ts'

test('what is appended while it is followed comes too, and after the end it stops behind the last whole line', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'journal')
  await writeFile(path, 'skipped\none\ntw')
  const ended = new AbortController()
  const texts: string[] = []
  for await (const lines of followJournal({ path, from: 8, ended: ended.signal })) {
    for (const line of lines) texts.push(line.kind === 'whole' ? line.text : line.kind)
    if (texts.at(-1) === 'one') await appendFile(path, 'o\nthree\n')
    if (texts.at(-1) === 'three') {
      await appendFile(path, 'four\ncut of')
      ended.abort()
    }
  }
  expect(texts).toEqual(['one', 'two', 'three', 'four'])
})

test('it says when it has caught up, after everything before was taken', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'journal')
  await writeFile(path, 'x'.repeat(1000).concat('\n').repeat(2000))
  const ended = new AbortController()
  let taken = 0
  const takenAtCatchUp: number[] = []
  const onCaughtUp = (): void => {
    takenAtCatchUp.push(taken)
    ended.abort()
  }
  for await (const lines of followJournal({ path, from: 0, ended: ended.signal, onCaughtUp })) taken += lines.length
  expect(takenAtCatchUp[0]).toBe(2000)
})

test('a line of 20 MB is told of with its size only', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'journal')
  await writeFile(path, `${'x'.repeat(20 * 1024 * 1024)}\nnext\n`)
  const found = []
  for await (const lines of followJournal({ path, from: 0, ended: AbortSignal.abort() })) found.push(...lines)
  expect(found).toMatchObject([
    { kind: 'oversized', bytes: 20 * 1024 * 1024 },
    { kind: 'whole', text: 'next' },
  ])
})

test('of lines that come one by one at full speed none is missed, nor the one that comes after a rest', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'journal')
  await writeFile(path, '')
  const many = Array.from({ length: 20_000 }, (_, index) => `line ${index}`)
  const writing = (async () => {
    await using file = await open(path, 'a')
    for (const line of many) await file.write(`${line}\n`)
  })()
  const ended = new AbortController()
  const texts: string[] = []
  let looks = 0
  const onCaughtUp = (): void => {
    // Looks that find nothing follow a flood, until the file is watched again.
    if (texts.length === many.length && ++looks === 5) void appendFile(path, 'after a rest\n')
  }
  for await (const lines of followJournal({ path, from: 0, ended: ended.signal, onCaughtUp })) {
    for (const line of lines) texts.push(line.kind === 'whole' ? line.text : line.kind)
    if (texts.at(-1) === 'after a rest') ended.abort()
  }
  await writing
  expect(texts).toEqual([...many, 'after a rest'])
})
