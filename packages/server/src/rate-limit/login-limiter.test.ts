import { expect, test } from 'vitest'
import { parseRateLimits, type RateLimits } from '../config/limits.ts'
import { AppError } from '../lib/app-error.ts'
import { createMemoryLimiter } from './limiter.ts'
import { createLoginLimiter } from './login-limiter.ts'

const setUp = (setting = 'login=20/1') => {
  let time = 0
  const now = () => time
  const logins = createLoginLimiter(createMemoryLimiter(parseRateLimits([setting]) as RateLimits, now), {
    enabled: true,
    now,
  })
  let ran = 0
  /** What a try is answered: right, wrong, or the seconds to wait. */
  const attempt = (account: string, address: string, right = false): Promise<'right' | 'wrong' | number> =>
    logins
      .attempt({ account, address }, async () => {
        ran++
        if (!right) throw new AppError('invalid_credentials', 'no')
        return 'right' as const
      })
      .catch((error: AppError) => error.retryAfter ?? 'wrong')
  /** How many of so many were let in, one right after the other. */
  const enter = async (...[door, address, count]: [...Parameters<typeof logins.enter>, number]): Promise<number> => {
    let entered = 0
    for (let one = 0; one < count; one++)
      await logins.enter(door, address).then(
        () => entered++,
        (error: AppError) => expect([error.code, error.retryAfter]).toEqual(['too_many_requests', 1]),
      )
    return entered
  }
  return { attempt, enter, ran: () => ran, pass: (ms: number) => (time += ms) }
}

test('from the third failure on one network waits for one account, longer each time', async () => {
  const { attempt, pass, ran } = setUp()
  expect([await attempt('ann', '192.0.2.1'), await attempt('Ann', '192.0.2.2')]).toEqual(['wrong', 'wrong'])
  const waits: number[] = []
  for (let failure = 0; failure < 11; failure++) {
    expect(await attempt('ann', '192.0.2.3')).toBe('wrong')
    const before = ran()
    const wait = await attempt('ann', '192.0.2.4', true)
    expect(ran()).toBe(before)
    waits.push(Number(wait))
    pass(Number(wait) * 1000)
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
})

test('the right password ends the delay', async () => {
  const { attempt, pass } = setUp()
  for (let failure = 0; failure < 3; failure++) await attempt('ann', '192.0.2.1')
  pass(1000)
  expect(await attempt('ann', '192.0.2.1', true)).toBe('right')
  expect(await attempt('ann', '192.0.2.1')).toBe('wrong')
  expect(await attempt('ann', '192.0.2.1', true)).toBe('right')
})

test('tries that run at once count before they are answered', async () => {
  const { attempt } = setUp()
  const answers = await Promise.all(Array.from({ length: 50 }, () => attempt('ann', '192.0.2.1')))
  expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(3)
})

test('one network may not try many accounts', async () => {
  const { attempt } = setUp()
  const answers: unknown[] = []
  for (let account = 0; account < 30; account++) answers.push(await attempt(`user${account}`, `192.0.2.${account}`))
  expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(20)
  expect(await attempt('somebody', '2001:db8::1')).toBe('wrong')
})

test('many networks may not try one account, and its owner still gets in from where he was before', async () => {
  const { attempt, pass } = setUp()
  expect(await attempt('ann', '203.0.113.5', true)).toBe('right')
  pass(60_000)
  const answers: unknown[] = []
  for (let network = 0; network < 40; network++) answers.push(await attempt('ann', `198.51.${network}.1`))
  expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(20)
  expect(await attempt('ann', '203.0.113.77', true)).toBe('right')
  expect(await attempt('ann', '198.18.0.1', true)).toBe(1)
})

test('the other ways in are limited by network, each for itself, and more widely than passwords', async () => {
  const { attempt, enter, pass } = setUp('login=5/1')
  const most = { oidc: 0, refresh: 0, ticket: 0 }
  for (const door of ['oidc', 'refresh', 'ticket'] as const) {
    most[door] = await enter(door, '192.0.2.1', 1000)
    expect(most[door]).toBeGreaterThan(5)
    expect(most[door]).toBeLessThan(1000)
    expect(await enter(door, '192.0.2.99', 1)).toBe(0)
    expect(await enter(door, '198.51.100.1', 1)).toBe(1)
  }
  // Each of the three is asked more often by who does no harm.
  expect(Object.values(most)).toEqual(Object.values(most).sort((a, b) => a - b))
  expect(await attempt('ann', '192.0.2.1', true)).toBe('right')
  pass(1000)
  expect(await enter('refresh', '192.0.2.1', 1000)).toBe(most.refresh / 5)
})

test('without a limit on log-ins there is none on the other ways in', async () => {
  const { enter } = setUp('off')
  expect(await enter('refresh', '192.0.2.1', 1000)).toBe(1000)
})
