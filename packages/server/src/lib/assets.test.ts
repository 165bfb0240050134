import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { assets, locateAssets } from './assets.ts'

test('in a checkout the entries are the sources', () => {
  expect(existsSync(join(assets.root, 'package-lock.json'))).toBe(true)
  expect(existsSync(assets.cliMain)).toBe(true)
  expect(assets.brokerMain).toBe(join(assets.root, 'packages/broker/src/main.ts'))
  expect(assets.webRoot).toBe(join(assets.root, 'packages/web/dist'))
  expect(assets.version).toMatch(/^\d+\.\d+\.\d+/)
})

test('in an installed package the entries are the bundles', async () => {
  const root = await mkdtemp(join(tmpdir(), 'aicm-assets-'))
  try {
    await mkdir(join(root, 'dist', 'server'), { recursive: true })
    await writeFile(join(root, 'package.json'), '{"version":"7.8.9"}')
    const found = locateAssets(pathToFileURL(join(root, 'dist/server/some-chunk.js')).href)
    expect(found).toEqual({
      root,
      serverMain: join(root, 'dist/server/main.js'),
      brokerMain: join(root, 'dist/broker/main.js'),
      filesHelper: join(root, 'dist/files/main.js'),
      cliMain: join(root, 'packages/cli/bin/aicm.js'),
      webRoot: join(root, 'dist/web'),
      version: '7.8.9',
    })
    await writeFile(join(root, 'package.json'), '{}')
    expect(() => locateAssets(pathToFileURL(join(root, 'dist/server/main.js')).href)).toThrow('names no version')
  } finally {
    await rm(root, { recursive: true })
  }
})
