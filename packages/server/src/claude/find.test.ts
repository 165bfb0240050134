import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { askVersion } from './find.ts'

const programThatSays = async (dir: string, text: string): Promise<string> => {
  const path = join(dir, 'claude')
  await writeFile(path, `#!/bin/sh\necho '${text}'\n`)
  await chmod(path, 0o755)
  return path
}

test.each([
  ['2.1.330 (Claude Code)', '2.1.330', null],
  ['10.0.1 (Claude Code)', '10.0.1', null],
  ['2.0.99 (Claude Code)', '2.0.99', expect.stringContaining('at least 2.1.0')],
  ['hello', null, expect.stringContaining('no version')],
])('a program that calls itself %s', async (text, version, error) => {
  await using dir = await tempDir()
  expect(await askVersion(await programThatSays(dir.path, text))).toMatchObject({ version, error })
})
