import { readFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'

/** A process named so that a reused pid is never taken for it. `startTime` is in clock ticks since boot. */
export type Identity = { pid: number; startTime: number; bootId: string }

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

const failedWith = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))

/** Undefined when there is no such process. `cpuTicks` are hundredths of a second. Source: proc(5), /proc/PID/stat. */
const readStat = (
  pid: number,
): { state: string; parent: number; cpuTicks: number; threads: number; startTime: number } | undefined => {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    // A server out of file descriptors must not take every process for dead.
    if (!failedWith(error, 'ENOENT', 'ESRCH')) throw error
    return undefined
  }
  // The command name may hold spaces and brackets: fields are counted from its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const at = (index: number): number => Number(fields[index])
  return {
    ...{ state: fields[0] ?? '?', parent: at(1), startTime: at(19) },
    ...{ cpuTicks: at(11) + at(12), threads: at(17) },
  }
}

export const identify = (pid: number): Identity | undefined => {
  const stat = readStat(pid)
  return stat === undefined ? undefined : { pid, startTime: stat.startTime, bootId: bootId() }
}

/** A zombie counts as gone: it runs nothing any more, and who reaps it is not our concern. */
export const isAlive = (identity: Identity): boolean => {
  const stat = readStat(identity.pid)
  return (
    stat !== undefined &&
    stat.state !== 'Z' &&
    stat.state !== 'X' &&
    stat.startTime === identity.startTime &&
    identity.bootId === bootId()
  )
}

export const childrenOf = async (pid: number): Promise<number[]> => {
  try {
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

export const ancestorsOf = (pid: number): number[] => {
  const parent = readStat(pid)?.parent ?? 0
  return parent === 0 ? [] : [parent, ...ancestorsOf(parent)]
}

/** What one process has now: its memory is what it has in RAM, shared pages included. Undefined when there is none. */
export const readUsage = (pid: number): { memoryBytes: number; cpuSeconds: number; threads: number } | undefined => {
  const stat = readStat(pid)
  if (stat === undefined) return undefined
  try {
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0
    return { memoryBytes: Number(resident) * 1024, cpuSeconds: stat.cpuTicks / 100, threads: stat.threads }
  } catch {
    return undefined
  }
}

export const descendantsOf = async (pid: number): Promise<number[]> => {
  const found: number[] = []
  for (const child of await childrenOf(pid)) found.push(child, ...(await descendantsOf(child)))
  return found
}

/** The environments at their start of all living processes that we may look at. */
const environments = async (): Promise<{ pid: number; environment: string[] }[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = []
  for (const pid of pids) {
    try {
      const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0')
      if (readStat(pid)?.state !== 'Z') found.push({ pid, environment })
    } catch (error) {
      // Gone, or another user's: not ours to end.
      if (!failedWith(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) throw error
    }
  }
  return found
}

/** Every living process whose environment at its start held `marker`: also those that left their session and group. */
export const processesWithMarker = async (marker: string): Promise<number[]> =>
  (await environments()).filter(({ environment }) => environment.includes(marker)).map(({ pid }) => pid)

/** All values of a marker, in the environments of living processes for which `isOurs`. */
export const markersIn = async (name: string, isOurs: (environment: string[]) => boolean): Promise<Set<string>> =>
  new Set(
    (await environments())
      .filter(({ environment }) => isOurs(environment))
      .flatMap(({ environment }) => environment.filter((text) => text.startsWith(`${name}=`)))
      .map((text) => text.slice(name.length + 1)),
  )
