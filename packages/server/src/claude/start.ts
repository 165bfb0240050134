import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { brokerDirInside, sandboxArgv } from '../isolation/sandbox-argv.ts'
import type { Isolation } from '../isolation/level.ts'
import { systemPath } from '../lib/system-path.ts'
import type { MakeFifo } from '../process/fifo.ts'
import { launch } from '../process/launch.ts'
import { prlimitArgv, type Limits } from '../process/limits.ts'
import type { SessionProcess } from '../process/session-process.ts'
import { claudeArgv, type ClaudeSettings } from './argv.ts'
import { claudeEnvironment } from './environment.ts'

export type StartClaude = {
  sessionId: string
  generation: number
  settings: ClaudeSettings
  conversation: { resume: string } | { create: string }
  workspace: string
  /** The user's own folder; becomes HOME. */
  home: string
  /** The session's folder: generations and private /tmp. */
  sessionDir: string
  program: string
  isolation: Isolation['level']
  limits: Limits
  brokerDir: string
  token: string
  makeFifo?: MakeFifo
}

export const markerName = 'AICM_PROCESS'

/** Starts a claude that needs neither this server nor any key. Rejects when it cannot be started at all. */
export const startClaude = async (options: StartClaude): Promise<SessionProcess> => {
  const tmp = join(options.sessionDir, 'tmp')
  await Promise.all([tmp, options.home].map((path) => mkdir(path, { recursive: true, mode: 0o700 })))
  const sandboxed = options.isolation === 'sandbox'
  const marker = `${options.sessionId}/${options.generation}`
  const command = [options.program, ...claudeArgv(options.settings, options.conversation)]
  const [limiter = 'prlimit', ...limits] = prlimitArgv(options.limits)
  const walls = sandboxed
    ? sandboxArgv({
        workspace: options.workspace,
        home: options.home,
        tmp,
        brokerDir: options.brokerDir,
        program: options.program,
      })
    : []
  return launch({
    dir: join(options.sessionDir, String(options.generation)),
    argv: [limiter, ...limits, ...walls, ...command],
    cwd: options.workspace,
    env: claudeEnvironment({
      home: options.home,
      tmp: sandboxed ? '/tmp' : tmp,
      path: systemPath,
      brokerSocket: join(sandboxed ? brokerDirInside : options.brokerDir, 'api.sock'),
      token: options.token,
      marker: { name: markerName, value: marker },
    }),
    marker: `${markerName}=${marker}`,
    exitStatus: sandboxed ? 'descriptor' : 'shell',
    makeFifo: options.makeFifo,
  })
}
