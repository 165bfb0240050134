import { spawn } from 'node:child_process'
import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { attach } from './attach.ts'
import { childDescriptors, nothingElse, openChildFolder, openMount, type ChildFolder } from './child-descriptors.ts'
import { exitOf, type Exit } from './exit-status.ts'
import { joinArgv, openGroup, removeGroup, type Group } from './group.ts'
import { makeFifo, type MakeFifo } from './fifo.ts'
import { identify } from './identity.ts'
import type { Owner } from './owner.ts'
import { watchOomKills } from './oom-kills.ts'
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
  /** The server's own user when undefined. */
  owner?: Owner | undefined
  folder?: ChildFolder | undefined
  /** What a sandbox shows it more, at paths without links. */
  mounts?: readonly string[]
  /** Who writes the exit status to the descriptor for it: the command itself (bwrap), or a shell around it. */
  exitStatus: 'command' | 'shell'
  makeFifo?: MakeFifo
  /** Makes the group that it runs in: called once, and removed when the process has ended, or could not be started. */
  makeGroup?: (() => Group | undefined) | undefined
}

const { folder, status, group: firstOfGroup } = childDescriptors

/** See setGroupWeight: about the same where there are no control groups. Set by the child: what it forks at once has it too. */
const givingWay = ['nice', '-n', '5'] as const

/** Stands in for `bwrap --json-status-fd`: runs the command and writes down how it ended. */
const statusShell = `"$@" ${folder}>&- ${status}>&-; code=$?; printf '{"exit-code":%d}\\n' "$code" >&${status}; exit "$code"`

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
  const opened = (fd: number): number => {
    descriptors.push(fd)
    return fd
  }
  const file = (path: string, flags: number): number => opened(openSync(path, flags, 0o600))
  let group: Group | undefined
  try {
    group = spec.makeGroup?.()
    const joining = group === undefined ? [] : openGroup(group).map(opened)
    const stdio = [
      file(files.stdin, constants.O_RDWR),
      file(files.stdout, append),
      file(files.stderr, append),
      spec.folder === undefined ? ('ignore' as const) : opened(openChildFolder(spec.folder)),
      file(files.exit, append),
      ...joining,
    ]
    const command = spec.exitStatus === 'command' ? spec.argv : (['sh', '-c', statusShell, 'sh', ...spec.argv] as const)
    const placed = joining.length === 0 ? command : joinArgv(firstOfGroup, joining.length, command)
    const [program, ...args] = group?.folders.cpu === undefined ? [...givingWay, ...placed] : placed
    const oomKills = watchOomKills({ group, journal: files.stdout })
    const child = spawn(program, args, {
      ...{ cwd: spec.cwd, env: spec.env, detached: true },
      stdio: nothingElse(stdio, {
        mounts: (spec.mounts ?? []).map((path) => opened(openMount(path))),
        devNull: file('/dev/null', constants.O_RDWR),
      }),
      ...spec.owner,
    })
    const outerExit = new Promise<Exit>((resolve) =>
      child.once('exit', (code, signal) => resolve(code === null ? { code, signal } : exitOf(code))),
    )
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.unref()
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (identity === undefined) throw new Error('the process ended before it could be identified')
    const record = { dir: spec.dir, identity, marker: spec.marker, owner: spec.owner, group }
    return attach(record, { oomKills, outerExit })
  } catch (error) {
    if (group !== undefined) await removeGroup(group)
    await rm(spec.dir, { recursive: true, force: true })
    throw error
  } finally {
    for (const fd of descriptors) closeSync(fd)
  }
}
