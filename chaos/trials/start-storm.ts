import type { Session } from '@aicm/protocol'
import { addUser } from '@aicm/testing/add-user'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { median } from '../../bench/lib/stats.ts'
import { logIn, openServer } from '../lib/server.ts'
import type { Problem, Trial } from '../lib/trial.ts'
import { wait } from '../lib/wait.ts'

/** How far the users' medians may be apart. */
const unfair = 1.5
const patienceMs = 180_000
const pollMs = 100
const username = 'second'
const password = 'the second user of a storm'

export const startStorm: Trial = {
  name: 'start-storm',
  title: 'sessions asked for at once by two users, until all take prompts',
  counts: { full: 200, quick: 60, test: 20 },
  limit: `no failure, users ≤ ${unfair}× apart`,
  run: async (chaos, count) => {
    const problems: Problem[] = []
    await using claude = await installFakeClaude(chaos.scope)
    await using server = await openServer(chaos, claude)
    await server.begin()
    await addUser({ url: server.url, token: server.token() }, { username, password })
    const second = await logIn(server.url, username, password)

    /** Resolves with the milliseconds until each of a user's sessions took prompts. */
    const storm = async (token: string, sessions: number): Promise<number[]> => {
      const begun = performance.now()
      const one = async (): Promise<number> => {
        const { id } = await server.call<Session>('POST', '/v1/sessions', {}, token)
        while (performance.now() - begun < patienceMs) {
          const session = await server.call<Session>('GET', `/v1/sessions/${id}`, undefined, token)
          if (session.generation > 1) throw new Error(`${id} was started ${session.generation} times`)
          // It may rest again already, to make room for the next.
          if (session.status === 'idle') return performance.now() - begun
          await wait(pollMs)
        }
        throw new Error(`${id} did not become ready`)
      }
      const all = await Promise.allSettled(Array.from({ length: sessions }, one))
      return all.flatMap((result) => {
        if (result.status === 'fulfilled') return [result.value]
        problems.push({ kind: 'failed', what: String(result.reason) })
        return []
      })
    }

    const users = await Promise.all([storm(server.token(), Math.ceil(count / 2)), storm(second, Math.floor(count / 2))])
    const all = users.flat()
    const middles = users.map((times) => (times.length === 0 ? Number.NaN : median(times)))
    const apart = Math.max(...middles) / Math.min(...middles)
    if (!(apart <= unfair)) problems.push({ kind: 'failed', what: `one user waited ${apart}× as long as the other` })
    await server.closeSessions(server.token(), second)
    return {
      count,
      problems,
      figures: `all after ${(Math.max(...all) / 1000).toFixed(1)} s; fair: users' medians ${apart.toFixed(2)}× apart`,
    }
  },
}
