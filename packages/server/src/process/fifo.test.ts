import { existsSync, statSync, writeFileSync } from 'node:fs'
import { watch } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '@aicm/testing/temp-dir'
import { makeFifo, makeFifoAhead } from './fifo.ts'

const isFifo = (path: string): boolean => statSync(path).isFIFO()

/** Resolves when there is something at `path`. */
const appears = async (folder: string, path: string): Promise<void> => {
  for await (const _ of watch(folder)) if (existsSync(path)) return
}

test('the second FIFO is the one that was made ahead, and each start gets its own', async () => {
  await using dir = await tempDir()
  const at = (name: string): string => join(dir.path, name)
  const make = makeFifoAhead(at('spare'))
  const spareMade = appears(dir.path, at('spare'))
  await make(at('first'))
  await spareMade
  const spare = statSync(at('spare')).ino
  await Promise.all([make(at('second')), make(at('third'))])
  expect(['first', 'second', 'third'].map((name) => isFifo(at(name)))).toEqual([true, true, true])
  expect(new Set(['first', 'second', 'third'].map((name) => statSync(at(name)).ino)).size).toBe(3)
  expect(['second', 'third'].map((name) => statSync(at(name)).ino)).toContain(spare)
})

test('a FIFO that an earlier server made ahead is used', async () => {
  await using dir = await tempDir()
  const spare = join(dir.path, 'spare')
  await makeFifo(spare)
  const { ino } = statSync(spare)
  await makeFifoAhead(spare)(join(dir.path, 'first'))
  expect(statSync(join(dir.path, 'first')).ino).toBe(ino)
})

test('where there is something already it says so', async () => {
  await using dir = await tempDir()
  writeFileSync(join(dir.path, 'taken'), '')
  await expect(makeFifo(join(dir.path, 'taken'))).rejects.toThrow('mkfifo failed')
})
