import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { mkdir, open, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { removeTree } from './remove-tree.ts'

test('everything in the folder goes, and nothing that its links lead to', async () => {
  await using dir = await tempDir()
  const at = (...names: string[]): string => join(dir.path, ...names)
  await mkdir(at('outside'))
  await writeFile(at('outside', 'kept'), 'x')
  await mkdir(at('tree', '-rf', 'deep'), { recursive: true })
  await writeFile(at('tree', '-rf', 'deep', 'file'), 'x')
  await symlink(at('outside'), at('tree', 'link'))
  await removeTree(at('tree'))
  expect(readdirSync(dir.path)).toEqual(['outside'])
  expect(existsSync(at('outside', 'kept'))).toBe(true)
  // Once more, and what never was.
  await removeTree(at('tree'))
})

test('the path may go through a folder that this process has open', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'tree', 'inner'), { recursive: true })
  await using folder = await open(dir.path)
  await removeTree(`/proc/self/fd/${folder.fd}/tree`)
  expect(readdirSync(dir.path)).toEqual([])
})

test('an abort ends it in the middle', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'tree'))
  for (let count = 0; count < 5000; count++) writeFileSync(join(dir.path, 'tree', `${count}`), '')
  const stopping = new AbortController()
  const removed = removeTree(join(dir.path, 'tree'), { signal: stopping.signal })
  stopping.abort()
  await expect(removed).rejects.toMatchObject({ name: 'AbortError' })
  expect(readdirSync(dir.path)).toEqual(['tree'])
})

test('what cannot be removed is said', async () => {
  await using dir = await tempDir()
  await expect(removeTree(`${dir.path}/.`, { patienceMs: 0 })).rejects.toThrow('could not be removed')
})
