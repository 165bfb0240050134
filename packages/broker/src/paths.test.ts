import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { prepareFolders, socketPaths } from './paths.ts'

test('sockets live in the broker’s folder, the API socket in one of its own', () => {
  const paths = socketPaths('/data/broker')
  expect(paths).toEqual({
    apiDir: '/data/broker/api',
    api: '/data/broker/api/api.sock',
    control: '/data/broker/control.sock',
    runtimeDir: null,
  })
})

test('a path too long for a socket moves both sockets to a short folder', () => {
  const dir = join(mkdtempSync(join(tmpdir(), 'aicm-long-')), 'x'.repeat(90))
  const paths = prepareFolders(dir)
  try {
    expect(Buffer.byteLength(paths.api)).toBeLessThanOrEqual(100)
    expect(paths.runtimeDir).toMatch(/^\/tmp\/aicm-[0-9a-f]{16}$/)
    expect(paths).toEqual(socketPaths(dir))
    expect(statSync(paths.runtimeDir ?? '').mode & 0o777).toBe(0o700)
  } finally {
    rmSync(paths.runtimeDir ?? '', { recursive: true, force: true })
  }
})

test('length counts in bytes: 60 characters may be too long', () => {
  expect(socketPaths(`/data/${'ü'.repeat(45)}`).runtimeDir).not.toBeNull()
  expect(socketPaths(`/data/${'u'.repeat(45)}`).runtimeDir).toBeNull()
})

test('a short folder that is a link is refused', () => {
  const base = mkdtempSync(join(tmpdir(), 'aicm-long-'))
  const dir = join(base, 'x'.repeat(90))
  const { runtimeDir } = socketPaths(dir)
  mkdirSync(join(base, 'elsewhere'))
  symlinkSync(join(base, 'elsewhere'), runtimeDir ?? '')
  try {
    expect(() => prepareFolders(dir)).toThrow('belongs to somebody else')
  } finally {
    rmSync(runtimeDir ?? '')
  }
})
