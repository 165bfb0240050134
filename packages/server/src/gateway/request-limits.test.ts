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

const refusals = async (times: number, ask: () => Promise<boolean>): Promise<number> => {
  let refused = 0
  for (let count = 0; count < times; count++) if (await ask()) refused++
  return refused
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

test('one API key has half of what its owner may ask, and the owner is still served when it has used that up', async () => {
  const { ask } = setUp('read=10/1', 'failure=1000/1')
  const askByKey = (key: string) => ask('a', key, '192.0.2.1', key)
  expect(await refusals(5, () => askByKey('key1'))).toBe(0)
  expect(await refusals(100, () => askByKey('key1'))).toBe(100)
  expect(await refusals(2, () => ask('a', 'token'))).toBe(0)
  // All that the owner's keys ask counts for the owner.
  expect(await refusals(3, () => askByKey('key2'))).toBe(0)
  expect([await ask('a', 'token'), await askByKey('key2'), await ask('b', 'other')]).toEqual([true, true, false])
})

test('of the limits of a key and its owner that is told which ends first', async () => {
  const { limits } = setUp('read=10/1')
  const left = (caller: { userId: string; keyId?: string }) => limits.ofCaller(caller, 'read')
  expect(await left({ userId: 'a', keyId: 'key1' })).toMatchObject({ limit: 5, remaining: 4 })
  for (let count = 0; count < 6; count++) await left({ userId: 'a' })
  expect(await left({ userId: 'a', keyId: 'key1' })).toMatchObject({ limit: 10, remaining: 2 })
})

test('a key may ask once at least', async () => {
  const { ask } = setUp('read=1/1')
  expect([await ask('a', 'k', '192.0.2.1', 'key1'), await ask('a', 'k', '192.0.2.1', 'key1')]).toEqual([false, true])
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
