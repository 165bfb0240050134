import { seeded } from '@aicm/testing/random'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { openServer } from '../lib/server.ts'
import { startTraffic } from '../lib/traffic.ts'
import type { Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

/** Servers side by side: each has a core. */
const servers = 2
const sessions = 3
/** Of the kills; the others come once the server is ready. */
const duringStart = 0.4
const longestLifeMs = 120
/** Now and then one lives long enough to start a claude, which takes longer on a busy machine than those lives. */
const longLife = { share: 0.05, ms: 1500 }

export const serverKills: Trial = {
  name: 'server-kills',
  title: 'kill -9 of the server at random instants, its start included',
  counts: { full: 1000, quick: 60, test: 16 },
  limit: '0 lost, doubled or out of order',
  run: async (chaos, count) => {
    const problems: Problem[] = []
    const recoveryMs: number[] = []
    let killed = 0
    let accepted = 0
    await using claude = await installFakeClaude(chaos.scope)
    await inLanes(servers, count, async (kills, lane) => {
      const random = seeded(chaos.seed + lane)
      await using server = await openServer(chaos, claude)
      await server.begin()
      const traffic = startTraffic(server, { sessions, random })
      let longest = longestLifeMs
      for (let left = kills; left > 0; left--) {
        await wait(random() * longest)
        await server.kill()
        killed += 1
        if (killed % 50 === 0) chaos.note(`  ${killed} kills, ${accepted + traffic.accepted()} prompts acknowledged`)
        const { ready } = await server.start()
        const early = left > 1 && random() < duringStart
        longest = early ? (recoveryMs.at(-1) ?? longestLifeMs) : longestLifeMs
        if (early) continue
        recoveryMs.push(await ready)
        if (random() < longLife.share) longest = longLife.ms
      }
      problems.push(...(await traffic.finish()))
      accepted += traffic.accepted()
      await server.closeSessions()
    })
    return { count: killed, problems, recoveryMs, figures: `${accepted} prompts` }
  },
}
