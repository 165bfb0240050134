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

test("a flood of one owner takes nobody else's, and ends by itself", () => {
  let now = 0
  const open = createSingleUse<string>({ now: () => now }, 1000)
  const [ofAda, ofNobody] = [open.put('ada', 'ada'), open.put('nobody')]
  const flood = Array.from({ length: 20_000 }, () => open.put('bob', 'bob'))
  const good = flood.filter((secret) => open.take(secret) !== undefined)
  // The newest, without a gap.
  expect(good.length).toBeGreaterThan(1)
  expect(good).toEqual(flood.slice(-good.length))
  expect([open.take(ofAda), open.take(ofNobody)]).toEqual(['ada', 'nobody'])
  // What was used, or is too old, no longer counts.
  for (const next of ['used', 'too old']) {
    const again = good.map(() => open.put(next, 'bob'))
    if (next === 'used') expect(again.every((secret) => open.take(secret) === next)).toBe(true)
    else now = 1000
  }
  const last = good.map(() => open.put('last', 'bob'))
  expect(last.every((secret) => open.take(secret) === 'last')).toBe(true)
})

test('a flood takes no more than so much memory: the oldest goes', () => {
  const open = createSingleUse<number>({ now: () => 0 }, 1000)
  const secrets = Array.from({ length: 10_001 }, (_, at) => open.put(at))
  expect(open.take(secrets[0] ?? '')).toBeUndefined()
  expect(open.take(secrets[1] ?? '')).toBe(1)
  expect(open.take(secrets.at(-1) ?? '')).toBe(10_000)
})
