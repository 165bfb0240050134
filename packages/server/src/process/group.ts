import { closeSync, constants, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ResourceLimits } from '@aicm/protocol'

/** What a control group (cgroup) can do; `kill` is to end all in it at once. */
export const controllers = ['memory', 'cpu', 'cpuacct', 'pids', 'kill'] as const
export type Controller = (typeof controllers)[number]

/**
 * A control group, by its folder for each controller. In version 2 that is one and the same; in version 1 there is a hierarchy
 * for each, `kill` being the empty one of version 2 beside them, which is used where `pids` is not there to end a group by. What
 * does not work is left out.
 */
export type Group = { version: 1 | 2; folders: Partial<Record<Controller, string>> }

export type GroupLimits = Pick<ResourceLimits, 'memory' | 'cpus' | 'pids'>

/** What all processes in it together have. Null: its group does not tell. */
export type GroupUsage = {
  memoryBytes: number | null
  memoryPeakBytes: number | null
  cpuSeconds: number | null
  /** Periods of 0.1 s in which it was held back. */
  throttledPeriods: number | null
  processes: number | null
  /** Threads too: what `pids` limits. */
  tasks: number | null
  /** Processes that the kernel has ended because its memory was used up. */
  oomKills: number | null
}

const cpuPeriodUs = 100_000
const pollMs = 5
/** A process that waits for a disk takes no signals meanwhile. */
const patience = { killPolls: 400, removePolls: 100 }

export const foldersOf = ({ folders }: Group): string[] => [...new Set(Object.values(folders))]

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))

/** The folder of the same name in each hierarchy. */
export const groupWithin = ({ version, folders }: Group, name: string): Group => ({
  version,
  folders: Object.fromEntries(Object.entries(folders).map(([controller, path]) => [controller, join(path, name)])),
})

const write = (folder: string, file: string, value: number | string): void =>
  writeFileSync(join(folder, file), String(value))

const setMemory = (version: 1 | 2, folder: string, bytes: number): void => {
  const [limit, swap, most] =
    version === 2
      ? ['memory.max', 'memory.swap.max', 0]
      : (['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', bytes] as const)
  write(folder, limit, bytes)
  try {
    write(folder, swap, most)
  } catch (error) {
    // A kernel that does not count swap by group.
    if (!hasCode(error, 'ENOENT', 'EACCES', 'ENOTSUP')) throw error
  }
}

const setCpus = (version: 1 | 2, folder: string, cpus: number): void => {
  const quota = Math.round(cpus * cpuPeriodUs)
  if (version === 2) return write(folder, 'cpu.max', `${quota} ${cpuPeriodUs}`)
  write(folder, 'cpu.cfs_period_us', cpuPeriodUs)
  write(folder, 'cpu.cfs_quota_us', quota)
}

export const setGroupLimits = ({ version, folders }: Group, { memory, cpus, pids }: GroupLimits): void => {
  if (folders.memory !== undefined && memory !== null) setMemory(version, folders.memory, memory)
  if (folders.cpu !== undefined && cpus !== null) setCpus(version, folders.cpu, cpus)
  if (folders.pids !== undefined && pids !== null) write(folders.pids, 'pids.max', pids)
}

/** How much of a busy machine a group gets, over what any other gets: 1 where nothing else was said. */
export const setGroupWeight = ({ version, folders: { cpu } }: Group, weight: number): void => {
  if (cpu === undefined) return
  if (version === 2) write(cpu, 'cpu.weight', Math.round(100 * weight))
  else write(cpu, 'cpu.shares', Math.round(1024 * weight))
}

/** Makes an empty group with these limits; all of it or nothing. Sync: some microseconds, in memory. */
export const makeGroup = (group: Group, limits: GroupLimits): Group => {
  try {
    for (const folder of foldersOf(group)) mkdirSync(folder)
    setGroupLimits(group, limits)
    return group
  } catch (error) {
    for (const folder of foldersOf(group)) removeFolder(folder)
    throw error
  }
}

/** False while something is in it. */
const removeFolder = (folder: string): boolean => {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    return hasCode(error, 'ENOENT')
  }
}

/**
 * In version 1 a thread may go by itself, and a shell has one only. Whoever moves a process stops all forks and exits of the
 * machine, for which the kernel waits some 10 ms (`cgroup_threadgroup_rwsem`).
 */
const entranceOf = ({ version, folders }: Group, folder: string): string =>
  version === 1 && folder !== folders.kill ? 'tasks' : 'cgroup.procs'

/**
 * A child puts itself into its group before it runs anything: it writes to these descriptors, which the server has opened
 * with its own rights. They are the first behind those of child-descriptors.ts, and closed again before the program starts.
 */
export const openGroup = (group: Group): number[] => {
  const opened: number[] = []
  try {
    for (const folder of foldersOf(group))
      opened.push(openSync(join(folder, entranceOf(group, folder)), constants.O_WRONLY))
    return opened
  } catch (error) {
    for (const fd of opened) closeSync(fd)
    throw error
  }
}

/** Runs a command in the group whose descriptors begin at `first`. A shell knows those of one digit only. */
export const joinArgv = (
  first: number,
  count: number,
  command: readonly [string, ...string[]],
): [string, ...string[]] => {
  const fds = Array.from({ length: count }, (_, index) => first + index)
  const join = fds.map((fd) => `echo 0 >&${fd}`).join(' && ')
  return ['sh', '-c', `${join} || exit; exec "$@" ${fds.map((fd) => `${fd}>&-`).join(' ')}`, 'sh', ...command]
}

const read = (folder: string | undefined, file: string): string | undefined => {
  if (folder === undefined) return undefined
  try {
    return readFileSync(join(folder, file), 'utf8')
  } catch (error) {
    // Gone, or an older kernel that has no such file.
    if (!hasCode(error, 'ENOENT', 'ENODEV', 'ENOTSUP')) throw error
    return undefined
  }
}

const number = (text: string | undefined): number | null => (text === undefined ? null : Number(text))
const field = (text: string | undefined, name: string): number | null =>
  number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1])
const scaled = (value: number | null, by: number): number | null => (value === null ? null : value * by)

const membersOf = ({ folders }: Group): number[] => {
  const folder = folders.kill ?? folders.pids ?? folders.memory ?? folders.cpu
  return (read(folder, 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number)
}

/** https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1/memory.html, cpuacct.html, pids.html there. */
export const groupUsage = (group: Group): GroupUsage => {
  const { memory, cpu, cpuacct, pids } = group.folders
  const cpuStat = read(cpu, 'cpu.stat')
  const common = {
    throttledPeriods: field(cpuStat, 'nr_throttled'),
    processes: membersOf(group).length,
    tasks: number(read(pids, 'pids.current')),
    oomKills: groupOomKills(group),
  }
  return group.version === 2
    ? {
        ...common,
        memoryBytes: number(read(memory, 'memory.current')),
        memoryPeakBytes: number(read(memory, 'memory.peak')),
        cpuSeconds: scaled(field(cpuStat, 'usage_usec'), 1e-6),
      }
    : {
        ...common,
        memoryBytes: number(read(memory, 'memory.usage_in_bytes')),
        memoryPeakBytes: number(read(memory, 'memory.max_usage_in_bytes')),
        cpuSeconds: scaled(number(read(cpuacct, 'cpuacct.usage')), 1e-9),
      }
}

/** Null where its memory is not counted. */
export const groupOomKills = ({ version, folders }: Group): number | null =>
  field(read(folders.memory, version === 2 ? 'memory.events' : 'memory.oom_control'), 'oom_kill')

/** Ends every process in it, whatever has become of them, and those that they start meanwhile. */
export const killGroup = async (group: Group): Promise<void> => {
  const { kill, pids } = group.folders
  try {
    if (kill !== undefined) write(kill, 'cgroup.kill', 1)
    // Nobody can fork any more: who is there now is all there is.
    else if (pids !== undefined) write(pids, 'pids.max', 0)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return
    throw error
  }
  for (let poll = 0; poll < patience.killPolls; poll++) {
    const members = membersOf(group)
    if (members.length === 0) return
    if (kill === undefined) for (const pid of members) killOne(pid)
    await delay(pollMs)
  }
}

const killOne = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone meanwhile.
  }
}

/** Removes a group in which nothing runs any more. Who has just been killed is in it for some moments yet. */
export const removeGroup = async (group: Group): Promise<void> => {
  let left = foldersOf(group)
  for (let poll = 0; poll < patience.removePolls; poll++) {
    left = left.filter((folder) => !removeFolder(folder))
    if (left.length === 0) return
    await delay(pollMs)
  }
}
