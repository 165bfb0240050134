import { readFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'

/** A process named so that a reused pid is never taken for it. `startTime` is in clock ticks since boot. */
export type Identity = { pid: number; startTime: number; bootId: string }

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

const failedWith = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))

/** State letter and start time of a process; undefined when there is none. Source: proc(5), /proc/PID/stat. */
const readStat = (pid: number): { state: string; startTime: number } | undefined => {
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
  return { state: fields[0] ?? '?', startTime: Number(fields[19]) }
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
