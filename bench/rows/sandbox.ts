import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAccounts } from '../../packages/server/src/isolation/accounts.ts'
import { confine } from '../../packages/server/src/isolation/confine.ts'
import { probeGroups, removeParent } from '../../packages/server/src/isolation/probe-groups.ts'
import { systemPath } from '../../packages/server/src/lib/system-path.ts'
import { defaultResourceLimits } from '../../packages/server/src/config/resource-limits.ts'
import { groupWithin, makeGroup } from '../../packages/server/src/process/group.ts'
import { launch } from '../../packages/server/src/process/launch.ts'
import { temporaryFolder } from '../lib/folder.ts'
import { interleave, timed } from '../lib/interleave.ts'
import type { RowGroup } from '../lib/row.ts'

const marker = 'AICM_PROCESS=bench/1'

/** From the start of `true` to its end, as a session's process: with walls and a group of its own, and with neither. */
export const sandboxStart: RowGroup = {
  rows: ['sandbox-start'],
  run: async (bench) => {
    await using folder = await temporaryFolder(bench.scope)
    const at = (name: string): string => join(folder.path, name)
    const view = {
      ...{ workspace: at('workspace'), home: at('home'), tmp: at('tmp'), socketDir: at('broker') },
      ...{ program: '/bin/true', accountsDir: at('accounts'), readOnly: [] },
    }
    await Promise.all([view.workspace, view.home, view.tmp, view.socketDir].map((path) => mkdir(path)))
    await writeAccounts(view.accountsDir)
    const { parent, errors } = await probeGroups({ dataDir: folder.path, owner: undefined })
    if (parent === undefined) throw new Error(`There are no control groups here: ${errors[0]?.error}`)
    await using _ = bench.scope.own(async () => removeParent(parent))
    const limits = { memory: 2 ** 30, ...defaultResourceLimits, cpus: 1 }
    let starts = 0

    const start = (level: 'none' | 'sealed'): Promise<number> => {
      const name = String(starts++)
      const walls = { level, owner: undefined, limits }
      const confined = confine({ walls, view, exact: false, command: ['true'] })
      return timed(async () => {
        const child = await launch({
          ...confined,
          dir: at(name),
          env: { PATH: systemPath, AICM_PROCESS: 'bench/1' },
          marker,
          makeGroup: level === 'none' ? undefined : () => makeGroup(groupWithin(parent, name), limits),
        })
        const { code } = await child.exited
        if (code !== 0) throw new Error(`true ended with ${code}: ${await child.stderrTail()}`)
      })
    }

    const values = await interleave({
      rounds: bench.quick ? 20 : 60,
      warmUp: 3,
      ours: () => start('sealed'),
      baseline: () => start('none'),
    })
    return [
      {
        name: 'sandbox-start',
        title: 'sandbox and control group around a process, over its bare start',
        ours: { values: values.ours.map((value, round) => value - (values.baseline[round] ?? 0)), unit: 'ms' },
        limit: { of: 'value', at: 'most', value: 40 },
      },
    ]
  },
}
