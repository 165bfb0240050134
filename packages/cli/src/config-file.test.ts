import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { configPath, readConfig, writeConfig } from './config-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aicm-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('its place is AICM_CONFIG, else below XDG_CONFIG_HOME, else below HOME', () => {
  expect(configPath({ AICM_CONFIG: '/a/b.json', XDG_CONFIG_HOME: '/x' })).toBe('/a/b.json')
  expect(configPath({ XDG_CONFIG_HOME: '/x', HOME: '/h' })).toBe('/x/aicm/config.json')
  expect(configPath({ HOME: '/h' })).toBe('/h/.config/aicm/config.json')
})

test('what is written is read again, by its owner only, and no half file stays', async () => {
  const path = join(folder, 'deep', 'config.json')
  const config = {
    server: 'http://a',
    accounts: { 'http://a': { username: 'admin', accessToken: 'a', refreshToken: 'r', expiresAt: 1 } },
  }
  await writeConfig(path, config)
  expect(await readConfig(path)).toEqual(config)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(folder, 'deep'))).toEqual(['config.json'])
})

test('no file is an empty configuration', async () => {
  expect(await readConfig(join(folder, 'none.json'))).toEqual({ accounts: {} })
})

test.each(['{', '[]', '"x"'])('a file with %s is refused with its name', async (text) => {
  const path = join(folder, 'bad.json')
  await writeFile(path, text)
  await expect(readConfig(path)).rejects.toMatchObject({
    code: 'config_unusable',
    message: expect.stringContaining(path),
  })
})

test('accounts that are none are left out', async () => {
  const path = join(folder, 'odd.json')
  await writeFile(path, JSON.stringify({ server: 5, accounts: { a: { username: 1 }, b: null } }))
  expect(await readConfig(path)).toEqual({ accounts: {} })
})
