import { expect, test } from 'vitest'
import { defaultResourceLimits, parseResourceLimits, tightest } from './resource-limits.ts'

test('limits are read with their units, the last one counts', () => {
  expect(parseResourceLimits(['memory=2g', 'cpus=1.5', 'pids=off', 'fileSize=10M', 'memory=512m'])).toEqual({
    ...{ memory: 512 * 2 ** 20, cpus: 1.5, pids: null, fileSize: 10 * 2 ** 20 },
  })
  expect(parseResourceLimits([])).toEqual({})
  const off = { memory: null, cpus: null, pids: null, files: null, processes: null, fileSize: null, core: null }
  expect(parseResourceLimits(['memory=2g', 'off', 'pids=100'])).toEqual({ ...off, pids: 100 })
})

test('what nothing can run with, or is no limit, is refused', () => {
  for (const setting of ['memory=1m', 'memory', 'memory=', 'on', 'cpus=0', 'cpus=1k', 'pids=100.5', 'files=-1', 'x=1'])
    expect(parseResourceLimits([setting]), setting).toBeUndefined()
})

test('of two limits the tighter one holds, and none is looser than any', () => {
  const limits = { memory: 1000, ...defaultResourceLimits, cpus: null, pids: 50 }
  expect(tightest(limits, { memory: 2000, cpus: 2, pids: 40 })).toEqual({ ...limits, cpus: 2, pids: 40 })
  expect(tightest(limits)).toEqual(limits)
  expect(tightest(limits, { memory: null })).toEqual(limits)
})
