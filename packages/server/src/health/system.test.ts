import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { availableMemory, memoryPressure, pressureOf, readMemory, readSystem } from './system.ts'

const gigabyte = 1024 ** 3

/** A machine of files. */
const machine = async (files: Record<string, string>) => {
  const dir = await tempDir()
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, path)), { recursive: true })
    await writeFile(join(dir.path, path), text)
  }
  return { root: dir.path, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() }
}

const meminfo = 'MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    4194304 kB\n'

test('without cgroups and PSI memory is what /proc/meminfo says', async () => {
  await using bare = await machine({ 'proc/meminfo': meminfo })
  expect(readMemory(bare)).toEqual({ totalBytes: 8 * gigabyte, availableBytes: 4 * gigabyte, stall: null })
})

test('the narrowest cgroup counts, its own or one above; cache that is not in use counts as available', async () => {
  await using container = await machine({
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '0::/slice/service\n',
    'proc/pressure/memory':
      'some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.25 avg60=0 avg300=0 total=1\n',
    'sys/fs/cgroup/slice/service/memory.max': 'max\n',
    'sys/fs/cgroup/slice/service/memory.current': '500000000\n',
    'sys/fs/cgroup/slice/memory.max': `${2 * gigabyte}\n`,
    'sys/fs/cgroup/slice/memory.current': `${gigabyte}\n`,
    'sys/fs/cgroup/slice/memory.stat': `anon 1\ninactive_anon 5\ninactive_file ${gigabyte / 2}\nactive_file 7\n`,
  })
  expect(readMemory(container)).toEqual({
    totalBytes: 2 * gigabyte,
    availableBytes: 1.5 * gigabyte,
    stall: { some: 12.5, full: 3.25 },
  })
})

test('cgroups of version 1 count too, with the container’s own at the root of the mount', async () => {
  await using container = await machine({
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': `${gigabyte}\n`,
    'sys/fs/cgroup/memory/memory.usage_in_bytes': `${gigabyte * 1.25}\n`,
    'sys/fs/cgroup/memory/memory.stat': 'inactive_file 12345\ntotal_inactive_file 0\n',
  })
  expect(readMemory(container)).toMatchObject({ totalBytes: gigabyte, availableBytes: 0 })
})

const calm = { totalBytes: 8 * gigabyte, availableBytes: 4 * gigabyte, stall: { some: 0, full: 0 } }

test.each([
  ['plenty', calm, 'none', 0],
  ['no PSI', { ...calm, stall: null }, 'none', 0],
  ['less than a tenth', { ...calm, availableBytes: 0.7 * gigabyte }, 'some', 1],
  ['less than a twentieth', { ...calm, availableBytes: 0.3 * gigabyte }, 'high', 1],
  ['little of very much', { ...calm, totalBytes: 256 * gigabyte, availableBytes: 2 * gigabyte }, 'none', 0],
  ['too little of very much', { ...calm, totalBytes: 256 * gigabyte, availableBytes: 0.4 * gigabyte }, 'high', 1],
  ['some wait', { ...calm, stall: { some: 10, full: 0 } }, 'some', 1],
  ['all wait', { ...calm, stall: { some: 40, full: 10 } }, 'high', 1],
  ['both', { ...calm, availableBytes: 0.7 * gigabyte, stall: { some: 40, full: 10 } }, 'high', 2],
])('memory pressure: %s', (_, reading, level, reasons) => {
  const pressure = pressureOf(reading)
  expect(pressure.level).toBe(level)
  expect(pressure.reasons.length).toBe(reasons)
})

test('a reason stays the same sentence while the shortage lasts', () => {
  const at = (availableBytes: number) => pressureOf({ ...calm, availableBytes }).reasons
  expect(at(0.7 * gigabyte)).toEqual(at(0.6 * gigabyte))
})

test('this machine has some memory, a CPU and a disk', async () => {
  const { system } = await readSystem('/')
  expect(system.cpu.count).toBeGreaterThan(0)
  expect(system.memory.totalBytes).toBeGreaterThan(64 * 1024 * 1024)
  expect(system.memory.availableBytes).toBeLessThanOrEqual(system.memory.totalBytes)
  expect(availableMemory()).toBeGreaterThan(0)
  expect(['none', 'some', 'high']).toContain(memoryPressure().level)
  expect(system.disk.totalBytes).toBeGreaterThan(0)
  expect((await readSystem('/nonexistent')).system.disk).toMatchObject({ availableBytes: null, totalBytes: null })
})
