import { randomUUID } from 'node:crypto'
import { seeded } from '@aicm/testing/random'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { openServer } from '../lib/server.ts'
import { killPart } from '../lib/session-processes.ts'
import { createOnce, sendPrompt } from '../lib/traffic.ts'
import type { Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

/** Sessions whose claude leaves a daemon behind; server and claude are killed, then everything is closed. */
export const orphans: Trial = {
  name: 'orphans',
  title: 'processes left of closed sessions: here, where claude had left daemons behind, and in all trials above',
  counts: { full: 40, quick: 16, test: 8 },
  limit: '0',
  run: async (chaos, count) => {
    const random = seeded(chaos.seed)
    await using claude = await installFakeClaude(chaos.scope)
    await using server = await openServer(chaos, claude)
    await server.begin()
    await inLanes(4, count, async (share) => {
      for (let left = share; left > 0; left--) {
        const { id } = await createOnce(server)
        await sendPrompt(server, id, randomUUID(), '@ignore-term @daemon(1000) @tokens(2000,10)')
        if (random() < 0.5) await killPart(id, random() < 0.5 ? 'claude' : 'outer')
      }
    })
    await wait(random() * 300)
    await server.kill()
    await (
      await server.start()
    ).ready
    await server.closeSessions()
    const left = chaos.orphans.reduce((sum, processes) => sum + processes, 0)
    return {
      count,
      problems: chaos.orphans.flatMap((processes, at) =>
        processes === 0
          ? []
          : [{ kind: 'failed' as const, what: `${processes} processes were left by server ${at + 1} of this run` }],
      ),
      figures: `${left} left by ${chaos.orphans.length} servers`,
    }
  },
}
