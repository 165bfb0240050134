import { expect, test } from 'vitest'
import { createSingleUse } from './single-use.ts'

test('a secret works once, and not when its time is over', () => {
  let now = 0
  const open = createSingleUse<string>({ now: () => now }, 1000)
  const [used, late] = [open.put('a'), open.put('b')]
  expect(used).not.toBe(late)
  expect(open.take(used)).toBe('a')
  expect(open.take(used)).toBeUndefined()
  now = 1000
  expect(open.take(late)).toBeUndefined()
  expect(open.take('never')).toBeUndefined()
})

test('a flood takes no more than so much memory: the oldest goes', () => {
  const open = createSingleUse<number>({ now: () => 0 }, 1000)
  const secrets = Array.from({ length: 10_001 }, (_, at) => open.put(at))
  expect(open.take(secrets[0] ?? '')).toBeUndefined()
  expect(open.take(secrets[1] ?? '')).toBe(1)
  expect(open.take(secrets.at(-1) ?? '')).toBe(10_000)
})
