import { fileURLToPath } from 'node:url'
import { seeded } from '@aicm/testing/random'
import { installFakeClaude, type Program } from '../../bench/lib/fake-claude.ts'
import { openServer, type Life, type MortalServer } from '../lib/server.ts'
import { startTraffic } from '../lib/traffic.ts'
import type { Chaos, Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

/** Each with how often it may be passed before the kill, at random. */
const points = {
  'before-append': 12,
  'in-append': 25,
  'after-append': 12,
  'before-ack': 12,
  // Three sessions, each with a journal and an input: further on they start new processes and go on as in any life.
  'in-adoption': 6,
  // As the migrations are now, 38 statements and ends of statements.
  'in-migration': 38,
} as const
type Point = keyof typeof points

const servers = 2
const sessions = 3
/** A life that never gets there ends anyhow. */
const longestLifeMs = 15_000

const killAt = (point: Point, random: () => number): Life => ({
  nodeArguments: ['--import', fileURLToPath(new URL('../programs/kill-at.mjs', import.meta.url))],
  env: { KILL_AT: `${point}:${1 + Math.floor(random() * points[point])}` },
})

/** Starts a life that is to end at its point; false when it did not get there, or ended in another way. */
const live = async (server: MortalServer, life: Life): Promise<boolean> => {
  const { exited } = await server.start(life)
  const ended = await Promise.race([exited.then((code) => code === null), wait(longestLifeMs).then(() => false)])
  await server.kill()
  return ended
}

type Run = { chaos: Chaos; claude: Program; random: () => number; problems: Problem[] }

/** Kills of one server under traffic. Returns how many of them came at their point. */
const killServer = async ({ chaos, claude, random, problems }: Run, kills: readonly Point[]): Promise<number> => {
  await using server = await openServer(chaos, claude)
  await server.begin()
  const traffic = startTraffic(server, { sessions, random })
  await server.kill()
  let killed = 0
  for (const point of kills) {
    if (await live(server, killAt(point, random))) killed += 1
    else problems.push({ kind: 'failed', what: `${point} was not passed` })
  }
  await (
    await server.start()
  ).ready
  problems.push(...(await traffic.finish()))
  await server.closeSessions()
  return killed
}

/** A new folder's first server, killed while it makes the database: the next one must come up and work. */
const killMigration = async ({ chaos, claude, random, problems }: Run): Promise<number> => {
  await using server = await openServer(chaos, claude)
  const killed = (await live(server, killAt('in-migration', random))) ? 1 : 0
  if (killed === 0) problems.push({ kind: 'failed', what: 'in-migration was not passed' })
  await server.begin()
  const traffic = startTraffic(server, { sessions: 1, random })
  while (traffic.accepted() === 0) await wait(20)
  problems.push(...(await traffic.finish()))
  await server.closeSessions()
  return killed
}

export const namedPoints: Trial = {
  name: 'named-points',
  title: 'the server killed before, in and after an append, before the 202, in adoption, in migration',
  counts: { full: 120, quick: 18, test: 6 },
  limit: '0 lost, doubled or out of order',
  run: async (chaos, count) => {
    const problems: Problem[] = []
    const each = count / Object.keys(points).length
    let killed = 0
    await using claude = await installFakeClaude(chaos.scope)
    await inLanes(servers, each, async (rounds, lane) => {
      const run = { chaos, claude, random: seeded(chaos.seed + lane), problems }
      const inOrder = (['before-append', 'in-append', 'after-append', 'before-ack', 'in-adoption'] as const).flatMap(
        (point) => Array.from({ length: rounds }, () => point),
      )
      const done = [await killServer(run, inOrder)]
      for (let round = 0; round < rounds; round++) done.push(await killMigration(run))
      for (const kills of done) killed += kills
      chaos.note(`  ${killed} kills`)
    })
    return { count: killed, problems, figures: `each ×${each}` }
  },
}
