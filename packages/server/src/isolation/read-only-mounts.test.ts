import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '@aicm/testing/temp-dir'
import { assertMountable } from './read-only-mounts.ts'

test('what holds nothing of the server’s may be shown, nothing else may', async () => {
  await using dir = await tempDir()
  const at = (name: string): string => join(dir.path, name)
  await mkdir(at('data/users'), { recursive: true })
  await mkdir(at('database'))
  await mkdir(at('tools/bin'), { recursive: true })
  await writeFile(at('tools/file'), '')
  await symlink(at('data'), at('tools/link'))
  await symlink(at('tools'), at('also-tools'))
  for (const path of ['tools', 'tools/bin', 'tools/file', 'database'].map(at))
    await expect(assertMountable(path, at('data'))).resolves.toBeUndefined()
  const refused: [string, string][] = [
    [at('data'), 'own data'],
    [at('data/users'), 'own data'],
    [dir.path, 'own data'],
    ['/', 'own data'],
    [at('tools/link'), 'leads to'],
    [at('tools/link/users'), 'leads to'],
    [at('also-tools/bin'), 'leads to'],
    [`${at('tools')}/../data`, 'leads to'],
    [at('nowhere'), 'not exist'],
    ['/proc', 'own there'],
    ['/sys/fs', 'own there'],
    ['/dev', 'own there'],
  ]
  for (const [path, why] of refused)
    await expect(assertMountable(path, at('data')), path).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(why),
    })
})

test('a data folder that is reached by a link is not shown by its real name', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'real/data'), { recursive: true })
  await symlink(join(dir.path, 'real'), join(dir.path, 'link'))
  await expect(assertMountable(join(dir.path, 'real'), join(dir.path, 'link/data'))).rejects.toThrow('own data')
})
