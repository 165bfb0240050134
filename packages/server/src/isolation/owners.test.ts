import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { openWays } from './owners.ts'

test('the data folder is closed but for the ways, also while files of the server come and go', async () => {
  await using folder = await tempDir()
  const dataDir = folder.path
  mkdirSync(join(dataDir, 'users'), { mode: 0o700 })
  mkdirSync(join(dataDir, 'kv'), { mode: 0o755 })
  writeFileSync(join(dataDir, 'aicm.db'), '', { mode: 0o644 })
  // Listed, and then not there: as a file that was replaced meanwhile.
  symlinkSync('gone', join(dataDir, 'jwt.key.new'))
  await openWays(dataDir)
  const modeOf = (name: string): number => statSync(join(dataDir, name)).mode & 0o777
  expect(['.', 'users', 'kv', 'aicm.db'].map(modeOf)).toEqual([0o711, 0o711, 0o700, 0o600])
})
