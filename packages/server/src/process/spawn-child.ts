import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { nothingElse, openChildFolder, type ChildFolder } from './child-descriptors.ts'
import type { Owner } from './owner.ts'

export type SpawnOptions = {
  /** All of it: nothing of the server's environment is added. */
  env: Record<string, string>
  cwd?: string
  /** The server's own user when undefined. */
  owner?: Owner | undefined
  folder?: ChildFolder | undefined
}

/** Starts a program in a group of its own, its outputs piped to us. Throws, or emits `error`, when it cannot be started. */
export const spawnChild = (
  [file, ...args]: readonly [string, ...string[]],
  { env, cwd, owner, folder: given }: SpawnOptions,
  stdin: 'ignore' | 'pipe',
): ChildProcess => {
  // As in `launch`: the last one is where a wrapper writes the exit status, which is known here without it.
  const folder = given === undefined ? undefined : openChildFolder(given)
  const devNull = openSync('/dev/null', 'r+')
  try {
    const stdio = [stdin, 'pipe', 'pipe', ...(folder === undefined ? [] : [folder, devNull])] as const
    return spawn(file, args, { env, cwd, stdio: nothingElse(stdio, devNull), detached: true, ...owner })
  } finally {
    closeSync(devNull)
    if (folder !== undefined) closeSync(folder)
  }
}

/** Ends it and its group. */
export const killGroup = ({ pid }: ChildProcess): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
