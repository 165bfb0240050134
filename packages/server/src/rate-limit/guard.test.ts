import { expect, test } from 'vitest'
import { createGuard, type Block } from './guard.ts'

const minute = 60_000

const setUp = (limit: { burst: number; refill: number } | undefined = { burst: 10, refill: 1 }) => {
  let time = 0
  const told: Block[] = []
  const guard = createGuard({ limit, now: () => time, onBlock: (block) => told.push(block) })
  return {
    ...{ guard, told },
    pass: (ms: number) => (time += ms),
    failUntilBlocked: (source: string): number => {
      for (let failures = 1; ; failures++) {
        guard.failed(source)
        if (guard.blockedMs(source) > 0) return failures
      }
    },
  }
}

test('who fails more often than is allowed is blocked, and nobody else', () => {
  const { guard, told, failUntilBlocked } = setUp()
  expect(failUntilBlocked('a')).toBe(11)
  expect(guard.blockedMs('b')).toBe(0)
  expect(told).toEqual([{ source: 'a', ms: 5000 }])
  expect(guard.blocks()).toEqual(told)
})

test('who fails now and then is never blocked', () => {
  const { guard, told, pass } = setUp()
  for (let failures = 0; failures < 10_000; failures++) {
    pass(1000)
    guard.failed('a')
  }
  expect(told).toEqual([])
})

test('each block is longer than the last, up to an hour, and what is refused meanwhile does not prolong it', () => {
  const { guard, told, pass, failUntilBlocked } = setUp()
  for (let block = 0; block < 8; block++) {
    failUntilBlocked('a')
    const left = guard.blockedMs('a')
    for (let tries = 0; tries < 1000; tries++) guard.failed('a')
    expect(guard.blockedMs('a')).toBe(left)
    pass(left - 1)
    expect(guard.blockedMs('a')).toBe(1)
    pass(1)
    expect(guard.blockedMs('a')).toBe(0)
  }
  expect(told.map(({ ms }) => ms / 1000)).toEqual([5, 20, 80, 320, 1280, 3600, 3600, 3600])
})

test('blocks are forgotten one by one', () => {
  const { guard, told, pass, failUntilBlocked } = setUp()
  const blockAfter = (ms: number): number => {
    pass(ms)
    failUntilBlocked('a')
    pass(guard.blockedMs('a'))
    return (told.at(-1)?.ms ?? 0) / 1000
  }
  expect([blockAfter(0), blockAfter(0), blockAfter(0)]).toEqual([5, 20, 80])
  expect(blockAfter(10 * minute)).toBe(80)
  expect(blockAfter(20 * minute)).toBe(20)
  expect(blockAfter(24 * 60 * minute)).toBe(5)
})

test('a flood from ever new addresses takes bounded memory', () => {
  const { guard, failUntilBlocked } = setUp()
  for (let source = 0; source < 12_000; source++) failUntilBlocked(`source ${source}`)
  expect(guard.blocks()).toHaveLength(10_000)
})

test('without a limit nobody is blocked', () => {
  const { guard, told } = setUp(undefined)
  const off = createGuard({ limit: undefined, now: () => 0, onBlock: (block) => told.push(block) })
  for (let failures = 0; failures < 10_000; failures++) off.failed('a')
  expect(told).toEqual([])
  expect(guard.blocks()).toEqual([])
})
