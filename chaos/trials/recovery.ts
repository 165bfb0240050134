import { randomUUID } from 'node:crypto'
import type { Health, Session } from '@aicm/protocol'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { openServer } from '../lib/server.ts'
import { sendPrompt } from '../lib/traffic.ts'
import type { Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

const limitMs = 2000
const rounds = { full: 10, quick: 4, test: 1 }
/** Every so many sessions one has a turn running. */
const busyEvery = 4

/** The server listens once everything is taken over: when it is ready, it must know of all. */
export const recovery: Trial = {
  name: 'recovery-100',
  title: 'a new server with 100 sessions and their processes, until /readyz answers and all are taken over',
  counts: { full: 100, quick: 100, test: 16 },
  limit: `≤ ${limitMs} ms`,
  shortLimit: 'all of 16',
  run: async (chaos, count) => {
    const problems: Problem[] = []
    const recoveryMs: number[] = []
    await using claude = await installFakeClaude(chaos.scope)
    // However small the machine: all of them shall have a process.
    await using server = await openServer(chaos, claude, ['--max-processes', String(2 * count)])
    await server.begin()
    const ids: string[] = []
    await inLanes(8, count, async (share) => {
      for (let left = share; left > 0; left--) {
        const { id } = await server.call<Session>('POST', '/v1/sessions', {})
        while ((await server.call<Session>('GET', `/v1/sessions/${id}`)).process !== 'ready') await wait(20)
        ids.push(id)
      }
    })
    for (const [at, id] of ids.entries())
      if (at % busyEvery === 0) await sendPrompt(server, id, randomUUID(), '@tokens(200) @tokens(4000,50)')

    for (let round = 0; round < rounds[chaos.size]; round++) {
      await server.kill()
      const { ready } = await server.start()
      const ms = await ready
      recoveryMs.push(ms)
      if (ms > limitMs && chaos.size !== 'test')
        problems.push({ kind: 'failed', what: `ready after ${Math.round(ms)} ms` })
      const { sessions } = await server.call<Health>('GET', '/v1/health')
      const busy = Math.ceil(count / busyEvery)
      if (sessions.processes !== count || sessions.running !== busy)
        problems.push({
          kind: 'lost',
          what: `${sessions.processes} of ${count} processes, ${sessions.running} of ${busy} turns were taken over`,
        })
    }
    for (const id of ids) {
      const { generation, process } = await server.call<Session>('GET', `/v1/sessions/${id}`)
      if (generation !== 1 || process !== 'ready')
        problems.push({ kind: 'lost', what: `the process of ${id}, now ${process} and number ${generation}` })
    }
    await server.closeSessions()
    return { count, problems, recoveryMs }
  },
}
