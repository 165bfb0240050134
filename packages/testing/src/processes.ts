import { readdirSync, readFileSync } from 'node:fs'

/** A process of this machine, as /proc shows it. */
export type ProcessInfo = {
  pid: number
  parent: number
  /** Its command line. */
  argv: string[]
  /** `NAME=value`, as at its start. */
  environment: string[]
}

const readOf = (pid: number): ProcessInfo | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The command name may hold spaces and brackets: fields are counted from its last bracket.
    const [state = 'X', parent = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie runs nothing any more, and who reaps it is not our concern.
    if (state === 'Z' || state === 'X') return undefined
    const [argv = [], environment = []] = ['cmdline', 'environ'].map((name) =>
      readFileSync(`/proc/${pid}/${name}`, 'utf8').split('\0').slice(0, -1),
    )
    return { pid, parent: Number(parent), argv, environment }
  } catch {
    // Gone meanwhile, or another user's.
    return undefined
  }
}

/** Every living process for which `wanted` is true. */
export const findProcesses = (wanted: (info: ProcessInfo) => boolean): ProcessInfo[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readOf(Number(name)))
    .filter((info): info is ProcessInfo => info !== undefined && info.pid !== process.pid && wanted(info))

export const isRunning = (pid: number): boolean => readOf(pid) !== undefined

/** False when it was gone already. */
export const kill = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}
