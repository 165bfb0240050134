import type { Health, HealthStatus } from '@aicm/protocol'
import { expect, test } from 'vitest'
import type { Log } from '../lib/log.ts'
import { createHealthChecker } from './checker.ts'

const ok: HealthStatus = { status: 'ok', reasons: [] }
const ill = (...reasons: string[]): HealthStatus => ({ status: 'degraded', reasons })

/** A checker whose looks see these states, one after the other, the last one for ever. */
const watch = (states: (HealthStatus | Promise<HealthStatus> | Error)[], intervalMs = 1) => {
  const logged: string[] = []
  const told: HealthStatus[] = []
  let looks = 0
  const log: Log = {
    debug: () => undefined,
    child: () => log,
    ...{ info: (_, text) => void logged.push(`info ${text}`), warn: (_, text) => void logged.push(`warn ${text}`) },
    error: (_, text) => void logged.push(`error ${text}`),
  }
  const checker = createHealthChecker({
    health: async () => {
      const state = states[Math.min(looks++, states.length - 1)] ?? ok
      if (state instanceof Error) throw state
      return (await state) as Health
    },
    intervalMs,
    log,
  })
  checker.onChange((status) => told.push(status))
  const stop = new AbortController()
  checker.run(stop.signal)
  return { checker, logged, told, looks: () => looks, stop: () => stop.abort() }
}

test('each change is told and logged, and nothing else is', async () => {
  const states = [ok, ok, ill('a'), ill('a'), ill('a', 'b'), ill('b'), ok, ok]
  const { checker, logged, told, looks, stop } = watch(states)
  expect(checker.last()).toBeUndefined()
  await expect.poll(looks).toBeGreaterThan(states.length)
  stop()
  expect(told).toEqual([ill('a'), ill('a', 'b'), ill('b'), ok])
  expect(logged).toEqual([
    'warn health: degraded',
    'warn health: degraded',
    'warn health: degraded',
    'info health: ok again',
  ])
  expect(checker.last()).toEqual(ok)
})

test('what is wrong from the start is told', async () => {
  const { told, stop } = watch([ill('a')])
  await expect.poll(() => told).toEqual([ill('a')])
  stop()
})

test('a look that fails is logged, and the next one comes', async () => {
  const { logged, told, stop } = watch([new Error('no'), ill('a')])
  await expect.poll(() => told).toEqual([ill('a')])
  expect(logged[0]).toBe('error health could not be checked')
  stop()
})

test('a change is looked at without waiting, also one that comes during a look', async () => {
  const slow = Promise.withResolvers<HealthStatus>()
  const { checker, told, looks, stop } = watch([ok, ill('a'), slow.promise, ok], 3600_000)
  await expect.poll(looks).toBe(1)
  checker.lookNow()
  await expect.poll(() => told).toEqual([ill('a')])
  checker.lookNow()
  await expect.poll(looks).toBe(3)
  checker.lookNow()
  slow.resolve(ill('b'))
  await expect.poll(() => told).toEqual([ill('a'), ill('b'), ok])
  expect(looks()).toBe(4)
  stop()
})

test('it stops with the server: a look that ends after that tells nobody', async () => {
  const look = Promise.withResolvers<HealthStatus>()
  const { looks, told, stop } = watch([ok, look.promise])
  await expect.poll(looks).toBe(2)
  stop()
  look.resolve(ill('a'))
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(looks()).toBe(2)
  expect(told).toEqual([])
})
