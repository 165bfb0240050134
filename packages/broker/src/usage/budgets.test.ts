import fc from 'fast-check'
import { expect, test } from 'vitest'
import { exceededMessage, findExceeded, readExceeded, reserve, type Budgets, type Reserved } from './budgets.ts'
import { addTo, endOf, keysOf, prune, type Sums } from './sums.ts'

const now = Date.UTC(2026, 10, 30, 23, 59)
const who = { sessionId: 'ses_1', userId: 'usr_1' }
const least = { usd: 0.01, tokens: 1 }
const spend = (sums: Sums, usd: number, at = now, by = who): void =>
  addTo(sums, keysOf(by, at), { usd, tokens: 100, at })

const check = (budgets: Budgets, sums: Sums, reserved: Reserved = new Map(), at = now) =>
  findExceeded({ budgets, sums, reserved, who, least, now: at })

test('each budget holds for what it is of, and says when it begins anew', () => {
  const sums: Sums = new Map()
  spend(sums, 1)
  const midnight = Date.UTC(2026, 11, 1)
  const cases: [Budgets, object][] = [
    [{ sessions: { ses_1: { usd: 1 } } }, { budget: 'session', resetsAt: null, spent: 1, limit: 1 }],
    [{ everybody: { day: { usd: 1 } } }, { budget: 'user.day', resetsAt: midnight }],
    [{ everybody: { day: { usd: 9 } }, users: { usr_1: { day: { tokens: 100 } } } }, { unit: 'tokens' }],
    [{ users: { usr_1: { month: { usd: 0.5 } } } }, { budget: 'user.month', resetsAt: midnight }],
    [{ server: { day: { usd: 1 } } }, { budget: 'server.day' }],
    [{ server: { month: { usd: 1 } } }, { budget: 'server.month' }],
  ]
  for (const [budgets, expected] of cases) expect(check(budgets, sums)).toMatchObject(expected)
  expect(check({ sessions: { ses_2: { usd: 0 } }, users: { usr_2: { day: { usd: 0 } } } }, sums)).toBeUndefined()
  expect(check({ everybody: { day: { usd: 2 }, month: { usd: 2 } } }, sums)).toBeUndefined()
})

test("another user's spending counts for the server alone, and yesterday's for the month", () => {
  const sums: Sums = new Map()
  spend(sums, 5, now, { sessionId: 'ses_2', userId: 'usr_2' })
  spend(sums, 3, now - 86_400_000)
  expect(check({ everybody: { day: { usd: 1 } } }, sums)).toBeUndefined()
  expect(check({ everybody: { month: { usd: 3 } } }, sums)).toMatchObject({ spent: 3 })
  expect(check({ server: { month: { usd: 8 } } }, sums)).toMatchObject({ spent: 8 })
  expect(check({ everybody: { day: { usd: 1 }, month: { usd: 3 } } }, sums, new Map(), now + 60_000)).toBeUndefined()
})

test('however many ask at once, no more start than there is room for at the least', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 50 }), fc.array(fc.boolean(), { maxLength: 200 }), (room, starts) => {
      const budgets = { everybody: { day: { usd: room * least.usd + 0.005 } } }
      const reserved: Reserved = new Map()
      const open: (() => void)[] = []
      for (const start of starts) {
        if (start && check(budgets, new Map(), reserved) === undefined) open.push(reserve(reserved, who, least, now))
        else if (!start) open.pop()?.()
        expect(open.length).toBeLessThanOrEqual(room)
      }
      for (const giveBack of open) {
        giveBack()
        giveBack()
      }
      expect(reserved.size).toBe(0)
    }),
  )
})

test('what claude is told can be read again', () => {
  for (const resetsAt of [null, endOf('day', now)]) {
    const budget = resetsAt === null ? ('session' as const) : ('user.day' as const)
    const message = exceededMessage({ budget, unit: 'usd', limit: 5, spent: 5.02, resetsAt })
    expect(message).toContain('$5.00')
    expect(readExceeded(`API Error: 402 ${message}`)).toEqual({
      budget,
      resetsAt: resetsAt === null ? null : '2026-12-01T00:00:00.000Z',
    })
  }
  expect(readExceeded('API Error: 402 Your credit balance is too low')).toBeUndefined()
})

test('periods that are over are forgotten, and sessions with a budget are not', () => {
  const sums: Sums = new Map()
  spend(sums, 1, now - 60 * 86_400_000)
  spend(sums, 1, now, { sessionId: 'ses_2', userId: 'usr_2' })
  prune(sums, now, (sessionId) => sessionId === 'ses_1')
  expect([...sums.keys()].filter((key) => key.includes('2026-10') || key.includes('2026-09'))).toEqual([])
  expect(sums.has('session/ses_1') && sums.has('session/ses_2')).toBe(true)
})
