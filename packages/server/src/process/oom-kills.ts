import { readFileSync } from 'node:fs'

/** How many processes of this machine the kernel has killed because memory was short; 0 where it does not count them. */
export const oomKills = (): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
