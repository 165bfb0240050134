import { killGroup, removeGroup } from './group.ts'
import { childrenOf, descendantsOf, identify, isAlive, processesWithMarker } from './identity.ts'
import { readSandboxPid } from './exit-status.ts'
import { processFiles, type ProcessRecord } from './session-process.ts'

const signal = (pid: number, name: 'SIGTERM' | 'SIGKILL'): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Already gone.
  }
}

/** The process that should hear a polite signal: wrappers (shell, bwrap and its init) do not pass one on. */
const innermost = async (record: ProcessRecord): Promise<number | undefined> => {
  const sandboxInit = await readSandboxPid(processFiles(record.dir).exit)
  const [inner] = await childrenOf(sandboxInit ?? record.identity.pid)
  return inner
}

export const terminate = async (record: ProcessRecord): Promise<void> => {
  if (!isAlive(record.identity)) return
  const inner = await innermost(record)
  if (inner !== undefined) signal(inner, 'SIGTERM')
}

/**
 * Ends everything the process started, and removes its group, from which nothing gets away. Where it has none: in a sandbox its
 * init takes the whole pid namespace along; without one, descendants are found by parentage and, where they left that (a daemon),
 * by the marker in their environment.
 */
export const killTree = async (record: ProcessRecord): Promise<void> => {
  if (record.group !== undefined) await killGroup(record.group)
  const sandboxInit = await readSandboxPid(processFiles(record.dir).exit)
  await killRounds(async () => {
    const targets = new Set(await processesWithMarker(record.marker))
    // The status file outlives the process: its pid is only trusted while the outer process still runs.
    if (isAlive(record.identity)) {
      targets.add(record.identity.pid)
      for (const pid of await descendantsOf(record.identity.pid)) targets.add(pid)
      if (sandboxInit !== undefined) targets.add(sandboxInit)
    }
    return targets
  })
  if (record.group !== undefined) await removeGroup(record.group)
}

/** Ends every process with this marker: for one that was started and never written down. */
export const killMarked = (marker: string): Promise<void> =>
  killRounds(async () => new Set(await processesWithMarker(marker)))

const maxRounds = 5

const killRounds = async (find: () => Promise<Set<number>>): Promise<void> => {
  for (let round = 0; round < maxRounds; round++) {
    const targets = await find()
    if (targets.size === 0) return
    for (const pid of targets) signal(pid, 'SIGKILL')
    // A process that was forking while it was looked for shows up in the next round.
    for (const pid of targets) {
      const identity = identify(pid)
      for (let wait = 0; identity !== undefined && isAlive(identity) && wait < 100; wait++)
        await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
