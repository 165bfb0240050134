import { randomUUID } from 'node:crypto'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { quantile } from '../../bench/lib/stats.ts'
import { send } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'
import type { Person, Target } from '../lib/target.ts'

const counts = { full: 2000, quick: 300, test: 150 }
/** Others' 99th percentile may grow so much; and what is less than this is no harm on any machine. */
const limit = { times: 2, ms: 50 }

/** How long another's requests take until `signal`, milliseconds. */
const watch = async ({ url }: Target, { token }: Person, signal: AbortSignal): Promise<number[]> => {
  const times: number[] = []
  while (!signal.aborted) {
    const begun = performance.now()
    await send(url, '/v1/sessions', { token })
    times.push(performance.now() - begun)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return times
}

const during = async (target: Target, act: () => Promise<void>): Promise<number> => {
  const over = new AbortController()
  const times = watch(target, target.alice, over.signal)
  await act()
  over.abort()
  return quantile(await times, 0.99)
}

export const flood: Row = {
  name: 'flood',
  title: 'one user opening thousands of sessions, sending a thousand prompts and thousands of requests at once',
  expected: '429 with Retry-After; others served as before',
  run: async (attack, attempt) => {
    await using claude = await installFakeClaude(attack.scope)
    await using target = await attack.own({ claude })
    const { ask, bob } = target
    const count = counts[attack.size]
    const quiet = await during(target, () => new Promise((resolve) => setTimeout(resolve, 1000)))

    const floods: [string, (at: number) => Promise<{ status: number; headers: Record<string, unknown> }>][] = []
    const { id } = await bob.client.sessions.create()
    const post = (path: string, body: object) => ask(path, { method: 'POST', token: bob.token, body })
    floods.push(
      ['requests', () => ask('/v1/sessions', { token: bob.token })],
      [
        'prompts to one session',
        () => post(`/v1/sessions/${id}/execute`, { prompt: '@tokens(200,5)', id: randomUUID() }),
      ],
      ['new sessions', () => post('/v1/sessions', {})],
    )
    for (const [name, one] of floods) {
      let limited: Record<string, unknown> | undefined
      let after = 0
      const p99 = await during(target, async () => {
        let sent = 0
        const lane = async (): Promise<void> => {
          while (sent < count && limited === undefined) {
            sent += 1
            const { status, headers } = await one(sent)
            if (status !== 429) after += 1
            else limited = headers
          }
        }
        await Promise.all(Array.from({ length: 20 }, lane))
      })
      attempt(`${count} ${name}`, 'limited', limited === undefined ? 'all allowed' : `limited after ${after}`)
      if (limited !== undefined)
        attempt(`${name}: Retry-After`, 'said', limited['retry-after'] === undefined ? 'not said' : 'said')
      const harm =
        p99 <= Math.max(limit.ms, quiet * limit.times) ? 'unharmed' : `${quiet.toFixed(1)} → ${p99.toFixed(1)} ms`
      // In a test run other tests are a flood too: there it is not told apart.
      if (attack.size !== 'test') attempt(`${name}: the p99 of others`, 'unharmed', harm)
    }
    attempt('another user afterwards', 'served', await target.serves())
  },
}
