import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { sizeOfFolders } from './size-of-folders.ts'

test('folders take what is in them, without what links point to and without what is not there', async () => {
  await using dir = await tempDir()
  const [mine, there] = [join(dir.path, 'mine'), join(dir.path, 'there')]
  for (const folder of [join(mine, 'deep', 'deeper'), there]) await mkdir(folder, { recursive: true })
  await writeFile(join(there, 'big'), Buffer.alloc(1_000_000, 1))
  await symlink(there, join(mine, 'link'))
  await symlink(mine, join(mine, 'circle'))
  const empty = await sizeOfFolders([mine])
  await writeFile(join(mine, 'deep', 'deeper', 'file'), Buffer.alloc(100_000, 1))
  const full = await sizeOfFolders([mine])
  expect(full - empty).toBeGreaterThanOrEqual(100_000)
  expect(full).toBeLessThan(500_000)
  expect(await sizeOfFolders([mine, join(dir.path, 'nowhere')])).toBe(full)
  expect(await sizeOfFolders([])).toBe(0)
  await expect(sizeOfFolders([mine], AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
})

test('what a session has closed to the server is more than can be counted', async () => {
  await using dir = await tempDir()
  const folder = join(dir.path, 'closed')
  await mkdir(folder, { mode: 0 })
  const module = new URL('size-of-folders.ts', import.meta.url).href
  const script = `
    process.setuid?.(65534)
    const { sizeOfFolders } = await import(${JSON.stringify(module)})
    console.log(await sizeOfFolders([${JSON.stringify(folder)}]))`
  await chmod(dir.path, 0o755)
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(stdout.trim()).toBe('Infinity')
})
