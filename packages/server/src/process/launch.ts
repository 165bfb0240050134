import { spawn } from 'node:child_process'
import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { attach } from './attach.ts'
import type { Exit } from './exit-status.ts'
import { makeFifo, type MakeFifo } from './fifo.ts'
import { identify } from './identity.ts'
import { onlyThese } from './only-these.ts'
import { processFiles, type SessionProcess } from './session-process.ts'

export type LaunchSpec = {
  /** Made by launch; must be new. */
  dir: string
  argv: readonly [string, ...string[]]
  cwd: string
  /** All of it: nothing of the server's environment is added. */
  env: Record<string, string>
  /** `NAME=value`, part of `env`. */
  marker: string
  /** Who writes the exit status: bwrap to descriptor 3, or a shell around the command. */
  exitStatus: 'descriptor' | 'shell'
  makeFifo?: MakeFifo
}

/** Stands in for `bwrap --json-status-fd`: runs the command and writes down how it ended. `$0` is the status file. */
const statusShell = '"$@"; code=$?; printf \'{"exit-code":%d}\\n\' "$code" >"$0.new" && mv "$0.new" "$0"; exit "$code"'

/**
 * Starts a process that needs no parent: its input is a FIFO that it holds open itself (so it never reads an end of file),
 * its outputs are files, its exit status goes to a file. Rejects when it cannot be started.
 */
export const launch = async (spec: LaunchSpec): Promise<SessionProcess> => {
  // Node would say that the program does not exist.
  if (!existsSync(spec.cwd)) throw new Error(`the working directory ${spec.cwd} does not exist`)
  const files = processFiles(spec.dir)
  await mkdir(spec.dir, { recursive: true, mode: 0o700 })
  await (spec.makeFifo ?? makeFifo)(files.stdin)

  const append = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT
  const descriptors: number[] = []
  const opened = (path: string, flags: number): number => {
    const fd = openSync(path, flags, 0o600)
    descriptors.push(fd)
    return fd
  }
  try {
    const given = [
      opened(files.stdin, constants.O_RDWR),
      opened(files.stdout, append),
      opened(files.stderr, append),
      ...(spec.exitStatus === 'descriptor' ? [opened(files.exit, append)] : []),
    ]
    const [file, ...args] =
      spec.exitStatus === 'descriptor' ? spec.argv : (['sh', '-c', statusShell, files.exit, ...spec.argv] as const)
    const { cwd, env } = spec
    const child = onlyThese(given, (stdio) => spawn(file, args, { cwd, env, stdio, detached: true }))
    const outerExit = new Promise<Exit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.unref()
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (identity === undefined) throw new Error('the process ended before it could be identified')
    return attach({ dir: spec.dir, identity, marker: spec.marker }, outerExit)
  } catch (error) {
    await rm(spec.dir, { recursive: true, force: true })
    throw error
  } finally {
    for (const fd of descriptors) closeSync(fd)
  }
}
