import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Act } from './act.ts'
import { createSummary } from './summary.ts'

const limits = { windowMs: 1000, single: 2, kinds: 3 }
const refused = (address: string, code: 'forbidden' | 'unauthorized' = 'forbidden'): Act => ({
  ...{ action: 'sessions.create', result: 'refused', address, code },
})

test('what changes something is always told', () => {
  const summary = createSummary(limits)
  for (const action of ['sessions.create', 'oidc.callback'] as const)
    for (let at = 0; at < 100; at++) expect(summary.take({ action }, at)).toBe(true)
  expect(summary.due(5000)).toEqual([])
})

test('reads are counted like refusals', () => {
  const summary = createSummary(limits)
  const taken = Array.from({ length: 5 }, () => summary.take({ action: 'audit.list', userId: 'usr_1' }, 0))
  expect(taken).toEqual([true, true, false, false, false])
  expect(summary.due(1000)).toMatchObject([{ action: 'audit.list', userId: 'usr_1', detail: { repeated: 3 } }])
})

test('a new window tells again, and one that is not over keeps its count', () => {
  const summary = createSummary(limits)
  for (let at = 0; at < 4; at++) summary.take(refused('a'), 100)
  expect(summary.due(1099)).toEqual([])
  expect(summary.take(refused('a'), 1100)).toBe(true)
  expect(summary.due(1100)).toMatchObject([{ address: 'a', detail: { repeated: 2 } }])
  expect(summary.due(9000)).toEqual([])
})

test('a clock that is set back ends the window', () => {
  const summary = createSummary(limits)
  for (let at = 0; at < 4; at++) summary.take(refused('a'), 5000)
  expect(summary.take(refused('a'), 100)).toBe(true)
  expect(summary.due(200)).toHaveLength(1)
})

test('whatever comes, nothing is told more often than allowed, and nothing is left uncounted', () => {
  const act = fc.record({ address: fc.nat(9).map(String), code: fc.constantFrom('forbidden', 'unauthorized') })
  fc.assert(
    fc.property(fc.array(fc.record({ act, wait: fc.nat(400) }), { maxLength: 200 }), (steps) => {
      const summary = createSummary(limits)
      let now = 1
      let told = 0
      let windows = 1
      let began = now
      for (const {
        act: { address, code },
        wait,
      } of steps) {
        now += wait
        if (now >= began + limits.windowMs) {
          windows++
          began = now
        }
        if (summary.take(refused(address, code as 'forbidden'), now)) told++
      }
      const counted = summary
        .due(now + 10_000)
        .flatMap(({ detail }) =>
          typeof detail?.['repeated'] === 'number'
            ? [detail['repeated']]
            : Object.values(detail?.['repeated'] as Record<string, number>),
        )
        .reduce((sum, times) => sum + times, 0)
      expect(told + counted).toBe(steps.length)
      expect(told).toBeLessThanOrEqual(windows * limits.kinds * limits.single)
    }),
  )
})
