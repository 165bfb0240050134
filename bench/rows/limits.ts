import { authorize } from '../../packages/server/src/auth/authorize.ts'
import { defaultRateLimits, parseRateLimits } from '../../packages/server/src/config/limits.ts'
import { createRequestLimits } from '../../packages/server/src/gateway/request-limits.ts'
import { createGuard } from '../../packages/server/src/rate-limit/guard.ts'
import { createMemoryLimiter } from '../../packages/server/src/rate-limit/limiter.ts'
import type { RowGroup } from '../lib/row.ts'

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
