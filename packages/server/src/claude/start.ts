import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { confine, placesInside, type Walls } from '../isolation/confine.ts'
import { systemPath } from '../lib/system-path.ts'
import type { MakeFifo } from '../process/fifo.ts'
import { launch, type LaunchSpec } from '../process/launch.ts'
import type { SessionProcess } from '../process/session-process.ts'
import { claudeArgv, type ClaudeSettings, type ToolRules } from './argv.ts'
import { claudeEnvironment } from './environment.ts'

export type StartClaude = {
  sessionId: string
  generation: number
  settings: ClaudeSettings
  conversation: { resume: string } | { create: string }
  workspace: string
  /** It is not ours, and lies where others can write: see confine. */
  exactWorkspace: boolean
  /** The user's own folder; becomes HOME. */
  home: string
  /** The session's folder: generations and private /tmp. */
  sessionDir: string
  program: string
  walls: Walls
  /** Makes a folder belong to whom it runs as. */
  give(path: string): Promise<void>
  accountsDir: string
  readOnly: readonly string[]
  /** What an administrator lets sessions in this workspace read. */
  mounts: readonly string[]
  tools: ToolRules | undefined
  brokerDir: string
  token: string
  makeFifo?: MakeFifo
  makeGroup: LaunchSpec['makeGroup']
}

export const markerName = 'AICM_PROCESS'

/** Starts a claude that needs neither this server nor any key. Rejects when it cannot be started at all. */
export const startClaude = async (options: StartClaude): Promise<SessionProcess> => {
  const { workspace, home, program, brokerDir, accountsDir, readOnly, mounts } = options
  const tmp = join(options.sessionDir, 'tmp')
  await Promise.all([tmp, home].map((path) => mkdir(path, { recursive: true, mode: 0o700 })))
  await Promise.all([tmp, home, ...(options.exactWorkspace ? [] : [workspace])].map(options.give))
  const marker = `${options.sessionId}/${options.generation}`
  const inside = placesInside(options.walls.level, { tmp, socketDir: brokerDir })
  const confined = confine({
    walls: options.walls,
    view: { workspace, home, tmp, socketDir: brokerDir, program, accountsDir, readOnly, mounts },
    exact: options.exactWorkspace,
    command: [
      program,
      ...claudeArgv(options.settings, options.conversation, {
        sealed: options.walls.level === 'sealed',
        tools: options.tools,
      }),
    ],
  })
  return launch({
    ...confined,
    dir: join(options.sessionDir, String(options.generation)),
    env: claudeEnvironment({
      tmp: inside.tmp,
      brokerSocket: inside.socket,
      home,
      path: systemPath,
      token: options.token,
      marker: { name: markerName, value: marker },
    }),
    marker: `${markerName}=${marker}`,
    makeFifo: options.makeFifo,
    makeGroup: options.makeGroup,
  })
}
