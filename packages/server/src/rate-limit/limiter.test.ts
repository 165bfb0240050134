import { expect, test } from 'vitest'
import { defaultRateLimits, parseRateLimits } from '../config/limits.ts'
import { createMemoryLimiter } from './limiter.ts'

const limits = parseRateLimits(['off', 'read=2/1', 'write=1/1']) ?? defaultRateLimits

test('each key and each class has a bucket of its own', () => {
  const limiter = createMemoryLimiter(limits, () => 0)
  const take = (key: string, limitClass: 'read' | 'write') => limiter.take(key, limitClass, 1)?.allowed
  expect([take('a', 'read'), take('a', 'read'), take('a', 'read')]).toEqual([true, true, false])
  expect([take('a', 'write'), take('a', 'write')]).toEqual([true, false])
  expect(take('b', 'read')).toBe(true)
})

test('what is left is told in requests like this one, and none costs more than a full bucket', () => {
  const limiter = createMemoryLimiter(limits, () => 0)
  expect(limiter.take('a', 'read', 1 / 5)).toMatchObject({ limit: 10, remaining: 9, windowMs: 2000 })
  expect(limiter.take('b', 'read', 3)).toMatchObject({ allowed: true, limit: 1, remaining: 0 })
})

test('a class without a limit is not counted', () => {
  const limiter = createMemoryLimiter(limits, () => 0)
  for (let count = 0; count < 10_000; count++) expect(limiter.take('a', 'execute', 1)).toBeUndefined()
})

test('more keys than are remembered cost no more memory, and a busy one is not forgotten for them', () => {
  const limiter = createMemoryLimiter(limits, () => 0)
  limiter.take('busy', 'read', 2)
  for (let key = 0; key < 200_000; key++) {
    limiter.take(`key ${key}`, 'read', 1)
    if (key % 1000 === 0) expect(limiter.take('busy', 'read', 1)?.allowed).toBe(false)
  }
})

test('settings are taken in their order, and what is none of them is refused', () => {
  expect(parseRateLimits([])).toEqual(defaultRateLimits)
  expect(parseRateLimits(['read=5/0.5'])).toEqual({ ...defaultRateLimits, read: { burst: 5, refill: 0.5 } })
  expect(parseRateLimits(['read=5/1', 'off'])?.read).toBeUndefined()
  for (const wrong of ['read', 'read=0/1', 'read=1/0', 'read=1', 'reads=1/1', 'read=-1/1', 'read=1/1x', 'on'])
    expect(parseRateLimits([wrong])).toBeUndefined()
})
