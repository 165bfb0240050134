import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { childDescriptors, nothingElse, openChildFolder, openMount, type ChildFolder } from './child-descriptors.ts'
import { joinArgv, openGroup, type Group } from './group.ts'
import type { Owner } from './owner.ts'

export type SpawnOptions = {
  /** All of it: nothing of the server's environment is added. */
  env: Record<string, string>
  cwd?: string
  /** The server's own user when undefined. */
  owner?: Owner | undefined
  folder?: ChildFolder | undefined
  mounts?: readonly string[]
  /** The control group that it joins before it does anything. */
  group?: Group
}

/** Starts a program in a group of its own, its outputs piped to us. Throws, or emits `error`, when it cannot be started. */
export const spawnChild = (
  command: readonly [string, ...string[]],
  { env, cwd, owner, folder, mounts = [], group }: SpawnOptions,
  stdin: 'ignore' | 'pipe',
): ChildProcess => {
  using descriptors = new DisposableStack()
  const opened = (fd: number): number => descriptors.adopt(fd, closeSync)
  const joining = group === undefined ? [] : openGroup(group).map(opened)
  const [file, ...args] = joining.length === 0 ? command : joinArgv(childDescriptors.group, joining.length, command)
  const devNull = opened(openSync('/dev/null', 'r+'))
  // As in `launch`: behind the folder is where a wrapper writes the exit status, which is known here without it.
  const stdio = [
    stdin,
    'pipe',
    'pipe',
    folder === undefined ? 'ignore' : opened(openChildFolder(folder)),
    devNull,
    ...joining,
  ] as const
  return spawn(file, args, {
    ...{ env, cwd, detached: true },
    stdio: nothingElse(stdio, { mounts: mounts.map((path) => opened(openMount(path))), devNull }),
    ...owner,
  })
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
