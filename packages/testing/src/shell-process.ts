import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAccounts } from '../../server/src/isolation/accounts.ts'
import { confine } from '../../server/src/isolation/confine.ts'
import { currentGroup } from '../../server/src/isolation/own-group.ts'
import { systemPath } from '../../server/src/lib/system-path.ts'
import { groupWithin, makeGroup, type Group, type GroupLimits } from '../../server/src/process/group.ts'
import { launch } from '../../server/src/process/launch.ts'
import { defaultResourceLimits } from '../../server/src/config/resource-limits.ts'
import type { SessionProcess } from '../../server/src/process/session-process.ts'
import { killTree } from '../../server/src/process/tree.ts'
import { tempDir } from './temp-dir.ts'

export type ShellProcess = AsyncDisposable & {
  process: SessionProcess
  /** Its folder: `workspace`, `home`, `tmp`, `broker` and the journal `1` are in it. */
  dir: string
}

let launched = 0

const makeTestGroup = (name: string, limits: Partial<GroupLimits>): Group => {
  const own = currentGroup()
  if (own === undefined) throw new Error('There are no control groups: define the test with requires("cgroup").')
  return makeGroup(groupWithin(own, name), { memory: null, cpus: null, pids: null, ...limits })
}

/** A shell script as a session's process, in a folder of its own: ended, with all that it started, when disposed of. */
export const shellProcess = async (
  script: string,
  {
    sandbox = false,
    env = {},
    group,
  }: {
    sandbox?: boolean
    env?: Record<string, string>
    /** Limits of a control group that it gets then. */
    group?: Partial<GroupLimits>
  } = {},
): Promise<ShellProcess> => {
  const folder = await tempDir()
  const at = (name: string): string => join(folder.path, name)
  const view = {
    workspace: at('workspace'),
    home: at('home'),
    tmp: at('tmp'),
    socketDir: at('broker'),
    program: '/bin/sh',
    accountsDir: at('accounts'),
    readOnly: [],
  }
  await Promise.all([view.workspace, view.home, view.tmp, view.socketDir].map((path) => mkdir(path)))
  await writeAccounts(view.accountsDir)
  const marker = `test-${process.pid}-${launched++}`
  const confined = confine({
    walls: {
      level: sandbox ? 'sandbox' : 'none',
      owner: undefined,
      limits: { memory: null, ...defaultResourceLimits },
    },
    view,
    exact: false,
    command: ['sh', '-c', script],
  })
  const child = await launch({
    ...confined,
    dir: at('1'),
    env: { PATH: systemPath, AICM_PROCESS: marker, ...env },
    marker: `AICM_PROCESS=${marker}`,
    makeGroup: group && (() => makeTestGroup(`aicm-${marker}`, group)),
  })
  return {
    process: child,
    dir: folder.path,
    [Symbol.asyncDispose]: async () => {
      child.release()
      await killTree(child.record)
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The whole lines of its output, as they come, with the offset behind each. */
export async function* outputLines(
  child: SessionProcess,
  from = 0,
): AsyncGenerator<{ text: string; end: number }, void, void> {
  for await (const lines of child.output(from))
    for (const line of lines)
      yield { text: line.kind === 'whole' ? line.text : `oversized ${line.bytes}`, end: line.end }
}

/** Reads until `wanted` is among the lines, and gives all of them. */
export const readUntil = async (
  child: SessionProcess,
  wanted: (text: string) => boolean,
  from = 0,
): Promise<string[]> => {
  const texts: string[] = []
  for await (const { text } of outputLines(child, from)) {
    texts.push(text)
    if (wanted(text)) return texts
  }
  throw new Error(`it ended without the line; it said: ${texts.slice(-5).join(' | ')} and ${await child.stderrTail()}`)
}
