import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { childDescriptors, nothingElse, openChildFolder, type ChildFolder } from './child-descriptors.ts'
import { joinArgv, openGroup, type Group } from './group.ts'
import type { Owner } from './owner.ts'

export type SpawnOptions = {
  /** All of it: nothing of the server's environment is added. */
  env: Record<string, string>
  cwd?: string
  /** The server's own user when undefined. */
  owner?: Owner | undefined
  folder?: ChildFolder | undefined
  /** The control group that it joins before it does anything. */
  group?: Group
}

/** Starts a program in a group of its own, its outputs piped to us. Throws, or emits `error`, when it cannot be started. */
export const spawnChild = (
  command: readonly [string, ...string[]],
  { env, cwd, owner, folder: given, group }: SpawnOptions,
  stdin: 'ignore' | 'pipe',
): ChildProcess => {
  const joining = group === undefined ? [] : openGroup(group)
  const [file, ...args] = joining.length === 0 ? command : joinArgv(childDescriptors.group, joining.length, command)
  const folder = given === undefined ? undefined : openChildFolder(given)
  const devNull = openSync('/dev/null', 'r+')
  try {
    // As in `launch`: behind the folder is where a wrapper writes the exit status, which is known here without it.
    const stdio = [stdin, 'pipe', 'pipe', folder ?? 'ignore', devNull, ...joining] as const
    return spawn(file, args, { env, cwd, stdio: nothingElse(stdio, devNull), detached: true, ...owner })
  } finally {
    for (const fd of [devNull, ...joining]) closeSync(fd)
    if (folder !== undefined) closeSync(folder)
  }
}

/** Ends it and its group. */
export const killProcessGroup = ({ pid }: ChildProcess): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
