import { readFileSync, writeFileSync } from 'node:fs'

const megabytes = (pid: number, key: 'VmHWM' | 'VmRSS'): number =>
  Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** How far a process's memory rose above what it was before, at most, while `act` ran. Source: proc(5), clear_refs. */
export const memoryRise = async (pid: number, act: () => Promise<void>): Promise<number> => {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const before = megabytes(pid, 'VmRSS')
  await act()
  return megabytes(pid, 'VmHWM') - before
}

/** `flat` or how much it was. */
export const flatness = (rise: number, limit: number): string => (rise <= limit ? 'flat' : `+${Math.round(rise)} MB`)
