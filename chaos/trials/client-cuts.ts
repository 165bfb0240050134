import { seeded } from '@aicm/testing/random'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { cuttingProxy } from '../../e2e/lib/cutting-proxy.ts'
import { openServer } from '../lib/server.ts'
import { startTraffic } from '../lib/traffic.ts'
import type { Trial } from '../lib/trial.ts'
import { wait } from '../lib/wait.ts'

const sessions = 4
/** A connection is cut within so many bytes: the answer to its upgrade has 200, a turn some thousand … */
const shortBytes = 6000
/** … but some live longer: one frame may be a whole turn, and would never arrive. */
const long = { share: 0.2, bytes: 200_000 }

export const clientCuts: Trial = {
  name: 'client-cuts',
  title: 'clients cut off at random bytes of the stream, continued by their cursor',
  counts: { full: 500, quick: 100, test: 40 },
  limit: 'text equal',
  run: async (chaos, count) => {
    const random = seeded(chaos.seed)
    await using claude = await installFakeClaude(chaos.scope)
    await using server = await openServer(chaos, claude)
    await server.begin()
    const nextCut = (): number => 1 + Math.floor(random() * (random() < long.share ? long.bytes : shortBytes))
    await using proxy = await cuttingProxy(server.url, nextCut)
    const traffic = startTraffic(server, { sessions, random, readFrom: proxy.url })
    while (proxy.cuts() < count) await wait(10)
    const problems = await traffic.finish()
    await server.closeSessions()
    return { count: proxy.cuts(), problems, figures: `${traffic.accepted()} prompts` }
  },
}
