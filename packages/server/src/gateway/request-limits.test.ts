import { expect, test } from 'vitest'
import { parseRateLimits, type RateLimits } from '../config/limits.ts'
import { createGuard } from '../rate-limit/guard.ts'
import { createMemoryLimiter } from '../rate-limit/limiter.ts'
import { createRequestLimits } from './request-limits.ts'

const setUp = (...settings: string[]) => {
  const rateLimits = parseRateLimits(['off', ...settings]) as RateLimits
  const now = () => 0
  const guard = createGuard({ limit: rateLimits.failure, now, onBlock: () => undefined })
  const limits = createRequestLimits(createMemoryLimiter(rateLimits, now), guard)
  const isRefused = (asked: Promise<unknown>): Promise<boolean> =>
    asked.then(
      () => false,
      (error: { code: string; retryAfter: number }) => {
        expect(error).toMatchObject({ code: 'too_many_requests', retryAfter: expect.any(Number) })
        return true
      },
    )
  /** As the gateway does for one request. */
  const ask = (userId: string, credential: string, address = '192.0.2.1', keyId?: string): Promise<boolean> =>
    isRefused(
      limits.ofAddress(address, 'read', credential).then(() => limits.ofCaller({ userId, keyId }, 'read', credential)),
    )
  return { limits, ask, isRefused }
}

test('a flood of one user takes nothing from another behind the same address', async () => {
  const { ask } = setUp('read=10/1', 'failure=10/1')
  expect(await ask('quiet', 'quiet token')).toBe(false)
  let refused = 0
  for (let count = 0; count < 1000; count++) if (await ask('loud', 'loud token')) refused++
  expect(refused).toBe(990)
  for (let count = 0; count < 9; count++) expect(await ask('quiet', 'quiet token')).toBe(false)
  expect(await ask('quiet', 'quiet token')).toBe(true)
})

test('an API key has a limit of its own, and counts for its owner', async () => {
  const { ask } = setUp('read=4/1')
  const asked = [await ask('a', 'k', '192.0.2.1', 'key1'), await ask('a', 'k', '192.0.2.1', 'key1')]
  expect(asked).toEqual([false, false])
  expect([await ask('a', 't'), await ask('a', 't'), await ask('a', 't')]).toEqual([false, false, true])
  expect(await ask('a', 'k', '192.0.2.1', 'key1')).toBe(true)
})

test('a credential that is good no longer is as good as none', async () => {
  const { limits, ask, isRefused } = setUp('failure=2/1')
  expect(await ask('a', 'token')).toBe(false)
  for (let count = 0; count < 3; count++) limits.failed('192.0.2.1', undefined)
  expect(await isRefused(limits.ofAddress('192.0.2.1', 'read', 'another'))).toBe(true)
  expect(await isRefused(limits.ofAddress('192.0.2.1', 'read', 'token'))).toBe(false)
  limits.failed('192.0.2.1', undefined, 'token')
  expect(await isRefused(limits.ofAddress('192.0.2.1', 'read', 'token'))).toBe(true)
})
