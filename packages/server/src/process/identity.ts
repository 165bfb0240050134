import { readFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'

/** A process named so that a reused pid is never taken for it. `startTime` is in clock ticks since boot. */
export type Identity = { pid: number; startTime: number; bootId: string }

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** State letter, parent, start time of a process; undefined when there is none. Source: proc(5), /proc/PID/stat. */
const readStat = (pid: number): { state: string; startTime: number } | undefined => {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
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

/** Every living process whose environment at its start held `marker`: also those that left their session and group. */
export const processesWithMarker = async (marker: string): Promise<number[]> => {
  const needle = Buffer.from(marker)
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found: number[] = []
  for (const pid of pids) {
    try {
      const environment = await readFile(`/proc/${pid}/environ`)
      const at = environment.indexOf(needle)
      const end = at + needle.length
      const whole = at >= 0 && (at === 0 || environment[at - 1] === 0) && (end === environment.length || environment[end] === 0)
      if (whole && readStat(pid)?.state !== 'Z') found.push(pid)
    } catch {
      // Gone, or another user's: not ours to end.
    }
  }
  return found
}
