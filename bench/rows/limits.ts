import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Session } from '@aicm/protocol'
import { authorize } from '../../packages/server/src/auth/authorize.ts'
import { defaultRateLimits, parseRateLimits } from '../../packages/server/src/config/limits.ts'
import { createRequestLimits } from '../../packages/server/src/gateway/request-limits.ts'
import { createGuard } from '../../packages/server/src/rate-limit/guard.ts'
import { createMemoryLimiter } from '../../packages/server/src/rate-limit/limiter.ts'
import { startChild } from '../lib/child.ts'
import { installFakeClaude } from '../lib/fake-claude.ts'
import { interleave, timed } from '../lib/interleave.ts'
import { wordsOf } from '../lib/lines.ts'
import { node, plainEnvironment } from '../lib/programs.ts'
import type { RowGroup } from '../lib/row.ts'
import { startServer } from '../lib/server.ts'
import { quantile } from '../lib/stats.ts'
import type { Flood } from '../programs/flood.ts'

const users = 1000
const requests = 200_000

/** What every request pays for being allowed: by its address, by its user, by the rule. */
export const authorizeAndLimit: RowGroup = {
  rows: ['authorize-and-limit'],
  run: async (bench) => {
    const now = (): number => performance.now()
    // So much that nobody is refused: a refusal is cheaper.
    const rateLimits = parseRateLimits(['read=1000000000/1000000']) ?? defaultRateLimits
    const guard = createGuard({ limit: rateLimits.failure, now, onBlock: () => undefined })
    const limits = createRequestLimits(createMemoryLimiter(rateLimits, now), guard)
    const callers = Array.from({ length: users }, (_, index) => ({
      user: { id: `usr_${index}`, role: 'member' as const },
      address: `10.0.${index >> 8}.${index & 255}`,
      credential: `Bearer ${index}`.padEnd(300, '.'),
    }))
    const round = async (): Promise<number> => {
      let allowed = 0
      const start = performance.now()
      for (let request = 0; request < requests; request++) {
        const { user, address, credential } = callers[request % users] as (typeof callers)[number]
        await limits.ofAddress(address, 'read', credential)
        if (authorize(user, 'sessions.read', { userId: user.id }) === 'allow') allowed++
        await limits.ofCaller({ userId: user.id }, 'read', credential)
      }
      const ms = performance.now() - start
      if (allowed !== requests) throw new Error(`Only ${allowed} of ${requests} were allowed.`)
      return (ms * 1000) / requests
    }
    await round()
    const values: number[] = []
    for (let count = 0; count < (bench.quick ? 3 : 8); count++) values.push(await round())
    return [
      {
        name: 'authorize-and-limit',
        title: 'authorize + limiter, a request',
        ours: { values, unit: 'µs' },
        limit: { of: 'value', at: 'most', value: 5 },
      },
    ]
  },
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A second of somebody else's work: ten requests, spread evenly. The flood asks a hundred times as often. */
const perSecond = 10
const floodPerSecond = 100 * perSecond

const asFlags = (flag: string, limits: object): string[] =>
  Object.entries(limits).flatMap(([name, { burst, refill }]) => [flag, `${name}=${burst}/${refill}`])

/** One user floods the server with prompts, another works. */
export const fairness: RowGroup = {
  rows: ['flooded-p99'],
  run: async (bench) => {
    await using claude = await installFakeClaude(bench.scope)
    await using server = await startServer(bench, claude, { flags: asFlags('--rate-limit', defaultRateLimits) })
    const account = await server.call<{ password: string }>('POST', '/v1/users', {
      ...{ username: 'flood', mustChangePassword: false },
    })
    const call = async <T>(token: string, path: string, body: object): Promise<T> => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
      const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
      return (await answer.json()) as T
    }
    const login = { username: 'flood', password: account.password }
    const { accessToken: token } = await call<{ accessToken: string }>('', '/v1/auth/login', login)
    const { id: sessionId } = await call<Session>(token, '/v1/sessions', {})
    const { id } = await server.readySession()

    const plan: Flood = { url: server.url, token, sessionId, perSecond: floodPerSecond }
    const program = fileURLToPath(new URL('../programs/flood.ts', import.meta.url))
    const argv = [node, program, JSON.stringify(plan)] as const
    await using flood = await startChild(bench.scope, { argv, env: plainEnvironment(server.dataDir) })
    const words = wordsOf(flood)
    await words.next('ready')

    /** Milliseconds of each request: half of them look, half of them send a prompt that is made durable. */
    const work = async (): Promise<number[]> => {
      const taken: number[] = []
      for (let request = 0; request < perSecond * (bench.quick ? 2 : 4); request++) {
        const next = pause(1000 / perSecond)
        const prompt = { id: randomUUID(), prompt: '@tokens(5)' }
        taken.push(
          await timed(() =>
            request % 2 === 0
              ? server.call('GET', `/v1/sessions/${id}`)
              : server.call('POST', `/v1/sessions/${id}/execute`, prompt),
          ),
        )
        await next
      }
      return taken
    }
    const all = { flooded: [] as number[], calm: [] as number[] }
    const measure = async (into: number[], round: number): Promise<number> => {
      const taken = await work()
      if (round >= 0) into.push(...taken)
      return quantile(taken, 0.99)
    }
    let asked = 0
    await interleave({
      rounds: bench.quick ? 3 : 8,
      restMs: 500,
      ours: async (round) => {
        flood.stdin.write('on\n')
        const p99 = await measure(all.flooded, round)
        const said = words.next('asked')
        flood.stdin.write('off\n')
        const before = asked
        asked = Number(await said)
        if (asked - before < floodPerSecond) throw new Error(`The flood was a trickle: ${asked - before} requests.`)
        return p99
      },
      baseline: (round) => measure(all.calm, round),
    })
    return [
      {
        name: 'flooded-p99',
        title: "another's p99 while one user floods, 1000 prompts/s",
        ours: { values: [quantile(all.flooded, 0.99)], unit: 'ms' },
        baseline: { values: [quantile(all.calm, 0.99)], unit: 'ms', what: 'the same without the flood' },
        limit: { of: 'ratio', at: 'most', value: 2 },
      },
    ]
  },
}
