import { readFileSync, statSync } from 'node:fs'
import { groupOomKills, type Group } from './group.ts'

/** Whether a process was ended for its memory. */
export type OomKills = {
  /** What it has written was read up to here. */
  read(position: number): void
  /** Once it has ended by SIGKILL: whether the kernel has ended more than it is known to have outlived. */
  blamed(): boolean
}

/** Each look costs a system call or two. */
const lookEveryMs = 1000

/** So many processes of this machine were ended for memory; 0 where the kernel does not count them. */
const ofMachine = (): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/**
 * The kernel counts, by group or for the whole machine, and does not say whom it has ended. But whoever was counted before the
 * process wrote something was somebody else: a tool, mostly, about which it goes on to talk. Called before the process is
 * started, or when it is adopted.
 */
export const watchOomKills = ({ group, journal }: { group: Group | undefined; journal: string }): OomKills => {
  const count = (): number => (group && groupOomKills(group)) ?? ofMachine()
  // In this order: what is written behind these bytes was written after they were counted.
  const look = () => ({ at: performance.now(), kills: count(), bytes: sizeOf(journal) })
  let last = look()
  let outlived = last.kills
  return {
    read: (position) => {
      if (position <= last.bytes) return
      outlived = last.kills
      if (performance.now() - last.at >= lookEveryMs) last = look()
    },
    blamed: () => count() > (sizeOf(journal) > last.bytes ? last.kills : outlived),
  }
}
