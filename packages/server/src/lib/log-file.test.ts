import { tempDir } from '@aicm/testing/temp-dir'
import { readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLogFile } from './log-file.ts'

test('lines are in the file in their order, also those that wait when it is closed', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'logs', 'server.log')
  const file = openLogFile(path)
  const lines = Array.from({ length: 1000 }, (_, at) => `line ${at}\n`)
  for (const line of lines.slice(0, 500)) file.write(line)
  await expect.poll(() => readFileSync(path, 'utf8')).toBe(lines.slice(0, 500).join(''))
  file.write(lines[500]!)
  file.close()
  file.write('too late\n')
  await expect.poll(() => readFileSync(path, 'utf8')).toBe(lines.slice(0, 501).join(''))
  expect(statSync(path).mode & 0o777).toBe(0o600)
  file.close()
})

test('a disk that takes nothing holds nobody up', async () => {
  await using dir = await tempDir()
  const path = join(dir.path, 'server.log')
  symlinkSync('/dev/full', path)
  const file = openLogFile(path)
  for (let round = 0; round < 3; round++) {
    file.write('lost\n')
    await new Promise((resolve) => setImmediate(resolve))
  }
  file.write('lost too\n')
  file.close()
})
