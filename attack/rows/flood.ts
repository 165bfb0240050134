import { randomUUID } from 'node:crypto'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { send } from '../lib/http.ts'
import { usualLimits } from '../lib/limits.ts'
import type { Row } from '../lib/row.ts'
import type { Person, Target } from '../lib/target.ts'

const counts = { full: 5000, quick: 1500, test: 900 }
/** What another user's requests are answered with until `signal`; how long they take is a row of the benchmarks. */
const watch = async ({ url }: Target, { token }: Person, signal: AbortSignal): Promise<Set<string>> => {
  const seen = new Set<string>()
  while (!signal.aborted) {
    seen.add((await send(url, '/v1/sessions', { token })).seen)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return seen
}

const during = async (target: Target, act: () => Promise<void>): Promise<string> => {
  const over = new AbortController()
  const seen = watch(target, target.alice, over.signal)
  await act()
  over.abort()
  return [...(await seen)].join(', ')
}

export const flood: Row = {
  name: 'flood',
  title: 'one user opening thousands of sessions, sending a thousand prompts and thousands of requests at once',
  expected: '429 with Retry-After; others served as before',
  run: async (attack, attempt) => {
    await using claude = await installFakeClaude(attack.scope)
    await using target = await attack.own({ claude, flags: usualLimits })
    const { ask, bob } = target
    const count = counts[attack.size]

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
      const others = await during(target, async () => {
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
      attempt(`${name}: requests of others meanwhile`, '200', others)
    }
    attempt('another user afterwards', 'served', await target.serves())
  },
}
