import { join } from 'node:path'
import type { IsolationLevel, ResourceLimits } from '@aicm/protocol'
import type { ChildFolder } from '../process/child-descriptors.ts'
import type { LaunchSpec } from '../process/launch.ts'
import { prlimitArgv } from '../process/limits.ts'
import type { Owner } from '../process/owner.ts'
import { isWeaker } from './level.ts'
import { socketDirInside, sandboxArgv, type View } from './sandbox-argv.ts'
import { unreachable } from '../lib/unreachable.ts'

/** The walls around one program of a user's. */
export type Walls = {
  level: IsolationLevel
  /** The user of the operating system as whom it runs; the server's own when undefined. */
  owner: Owner | undefined
  limits: ResourceLimits
}

export type Confined = Required<Pick<LaunchSpec, 'argv' | 'cwd' | 'exitStatus'>> & {
  owner: Owner | undefined
  folder: ChildFolder | undefined
  mounts: readonly string[]
}

/** Where a program inside finds what it has of its own. */
export const placesInside = (
  level: IsolationLevel,
  { tmp, socketDir }: { tmp: string; socketDir: string },
): { tmp: string; socket: string } =>
  isWeaker(level, 'sandbox')
    ? { tmp, socket: join(socketDir, 'api.sock') }
    : { tmp: '/tmp', socket: join(socketDirInside, 'api.sock') }

/**
 * How to start `command` inside these walls, with `launch` or with `run`. The uid is dropped first: bwrap as root could not
 * enter a folder that is another user's alone. A workspace that is not `exact`ly at its path any more is refused.
 */
export const confine = ({
  walls,
  view,
  exact,
  command,
  endsWithServer = false,
}: {
  walls: Walls
  view: View
  /** The workspace is where others can write: see ChildFolder. */
  exact: boolean
  command: readonly [string, ...string[]]
  /** It has nobody to work for when the server is gone. Elsewhere than in a sandbox it finds out by its input. */
  endsWithServer?: boolean
}): Confined => {
  const { level, owner, limits } = walls
  const bare = { owner, cwd: view.workspace, folder: undefined, mounts: [], exitStatus: 'shell' as const }
  switch (level) {
    case 'none':
      return { ...bare, argv: command }
    case 'process':
      return { ...bare, argv: [...prlimitArgv(limits), ...command] }
    case 'sandbox':
    case 'sealed':
      return {
        argv: [
          ...prlimitArgv(limits),
          ...sandboxArgv(view, { sealed: level === 'sealed', endsWithServer }),
          ...command,
        ],
        ...{ owner, cwd: view.workspace, folder: { path: view.workspace, exact }, mounts: view.mounts ?? [] },
        exitStatus: 'command',
      }
    default:
      return unreachable(level)
  }
}
