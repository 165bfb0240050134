import type { Health } from '@aicm/protocol'
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism, loadavg, totalmem } from 'node:os'
import { dirname, join } from 'node:path'

type MemoryPressure = Health['system']['memory']['pressure']

/** Percent of the last ten seconds in which at least one task (`some`), or all of them (`full`), waited. */
type Stall = { some: number; full: number }

export type MemoryReading = { availableBytes: number; totalBytes: number; stall: Stall | null }

/** Where /proc and /sys are; tests have their own. */
type Root = { root?: string }

const megabyte = 1024 * 1024

/** Undefined where there is no such file: not every kernel has each of them, and only Linux has any. */
const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** https://docs.kernel.org/accounting/psi.html; null where the kernel does not tell. */
const stallOf = (resource: 'cpu' | 'io' | 'memory', { root = '/' }: Root = {}): Stall | null => {
  const text = read(join(root, 'proc/pressure', resource))
  if (text === undefined) return null
  const average = (kind: string): number => Number(new RegExp(`^${kind} avg10=([\\d.]+)`, 'm').exec(text)?.[1] ?? 0)
  return { some: average('some'), full: average('full') }
}

/** The files of a memory cgroup in version 2 and version 1, and the name in its statistics of what is easily given back. */
const cgroupKinds = [
  { line: /^0::(.*)$/m, mount: 'sys/fs/cgroup', limit: 'memory.max', usage: 'memory.current', cache: 'inactive_file' },
  {
    line: /^\d+:(?:.*,)?memory(?:,.*)?:(.*)$/m,
    mount: 'sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    usage: 'memory.usage_in_bytes',
    cache: 'total_inactive_file',
  },
]

/** The limits that this process lives under, its own cgroup's and those of all above it. */
const cgroupLimits = (root: string): { limit: number; available: number }[] => {
  const own = read(join(root, 'proc/self/cgroup')) ?? ''
  return cgroupKinds.flatMap(({ line, mount, limit, usage, cache }) => {
    const found = []
    for (let path = line.exec(own)?.[1]; path !== undefined; path = path === '/' ? undefined : dirname(path)) {
      const folder = join(root, mount, path)
      const bytes = Number(read(join(folder, limit)) ?? NaN)
      const used = Number(read(join(folder, usage)) ?? NaN)
      // No limit is the word `max`, or a number larger than any memory.
      if (!Number.isFinite(bytes) || !Number.isFinite(used)) continue
      const statistics = read(join(folder, 'memory.stat')) ?? ''
      const reclaimable = Number(new RegExp(`^${cache} (\\d+)`, 'm').exec(statistics)?.[1] ?? 0)
      found.push({ limit: bytes, available: Math.max(0, bytes - used + reclaimable) })
    }
    return found
  })
}

/** A few reads of /proc: cheap enough to be asked before each start of a process. */
export const readMemory = ({ root = '/' }: Root = {}): MemoryReading => {
  const info = read(join(root, 'proc/meminfo'))
  const kilobytes = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(info ?? '')?.[1] ?? NaN)
  // Elsewhere than on Linux Node knows.
  const total = kilobytes('MemTotal') * 1024 || totalmem()
  const available = kilobytes('MemAvailable') * 1024
  const limits = cgroupLimits(root)
  return {
    availableBytes: Math.min(
      Number.isNaN(available) ? process.availableMemory() : available,
      ...limits.map((cgroup) => cgroup.available),
    ),
    totalBytes: Math.min(total, ...limits.map(({ limit }) => limit)),
    stall: stallOf('memory', { root }),
  }
}

/**
 * How short memory is. Little is less than a tenth, and less than 1 GB however large the machine; very little is half of
 * that. Waiting for memory counts as much: it shows where there is swap, and where the memory left is not usable.
 */
export const pressureOf = ({
  availableBytes,
  totalBytes,
  stall,
}: MemoryReading): { level: MemoryPressure; reasons: string[] } => {
  const little = Math.min(totalBytes / 10, 1024 * megabyte)
  const size = (bytes: number): string => `${Math.round(bytes / megabyte)} MB`
  const level = (low: boolean, veryLow: boolean): number => (veryLow ? 2 : low ? 1 : 0)
  const left = level(availableBytes < little, availableBytes < little / 2)
  const waiting = stall === null ? 0 : level(stall.some >= 10, stall.full >= 10)
  return {
    level: (['none', 'some', 'high'] as const)[Math.max(left, waiting)] ?? 'none',
    reasons: [
      // Without the present number: the same shortage has the same reason, and is not told again and again.
      ...(left > 0 ? [`Less than ${size(left > 1 ? little / 2 : little)} of memory are available.`] : []),
      ...(waiting > 0 ? ['Processes wait for memory (see /proc/pressure/memory).'] : []),
    ],
  }
}

/** Of this machine, now. */
export const memoryPressure = (): { level: MemoryPressure; reasons: string[] } => pressureOf(readMemory())

/** Bytes that new processes may take, within the limits of the cgroups. */
export const availableMemory = (): number => readMemory().availableBytes

/** What is left of a disk counts as little: logs, journals and workspaces grow by gigabytes. */
const littleDisk = 512 * megabyte
/** Tasks for each CPU. More than that and answers take seconds. */
const highLoad = 8

/** The state of the machine, and what is wrong with it. */
export const readSystem = async (dataDir: string): Promise<{ system: Health['system']; reasons: string[] }> => {
  const memory = readMemory()
  const pressure = pressureOf(memory)
  const [load = 0] = loadavg()
  const count = availableParallelism()
  const disk = await statfs(dataDir).then(
    ({ bavail, blocks, bsize }) => ({ availableBytes: bavail * bsize, totalBytes: blocks * bsize }),
    () => ({ availableBytes: null, totalBytes: null }),
  )
  return {
    system: {
      cpu: { count, load, waiting: stallOf('cpu')?.some ?? null },
      memory: {
        availableBytes: memory.availableBytes,
        totalBytes: memory.totalBytes,
        pressure: pressure.level,
        waiting: memory.stall?.some ?? null,
      },
      disk: { ...disk, waiting: stallOf('io')?.some ?? null },
    },
    reasons: [
      ...pressure.reasons,
      ...(disk.availableBytes !== null && disk.availableBytes < littleDisk
        ? [`The disk of the data folder has less than ${littleDisk / megabyte} MB left.`]
        : []),
      ...(load > highLoad * count ? ['The CPUs are overloaded.'] : []),
    ],
  }
}
