import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fullBucket, takeTokens } from './token-bucket.ts'

const limits = fc.record({ burst: fc.integer({ min: 1, max: 50 }), refill: fc.integer({ min: 1, max: 100 }) })
const steps = fc.array(
  fc.record({
    // Mostly forward, now and then hours back or on.
    passMs: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 400 }) },
      { weight: 1, arbitrary: fc.integer({ min: -7_200_000, max: 7_200_000 }) },
    ),
    cost: fc.integer({ min: 1, max: 60 }),
  }),
  { maxLength: 300 },
)

/** The bucket as it is described: filled drop by drop, a thousandth of a token at a time. */
const createReference = ({ burst, refill }: { burst: number; refill: number }, begin: number) => {
  let drops = BigInt(burst) * 1000n
  let last = begin
  return (cost: number, now: number): { allowed: boolean; drops: bigint } => {
    const gained = now > last ? BigInt(now - last) * BigInt(refill) : 0n
    last = now
    drops = drops + gained > BigInt(burst) * 1000n ? BigInt(burst) * 1000n : drops + gained
    const allowed = drops >= BigInt(cost) * 1000n
    if (allowed) drops -= BigInt(cost) * 1000n
    return { allowed, drops }
  }
}

test('the bucket answers as the reference does, whatever the clock does', () => {
  fc.assert(
    fc.property(limits, steps, (limit, taken) => {
      let now = 1_000_000
      const bucket = fullBucket(now)
      const reference = createReference(limit, now)
      for (const { passMs, cost } of taken) {
        now += passMs
        const ours = takeTokens(bucket, limit, cost, now)
        const theirs = reference(cost, now)
        expect(ours.allowed).toBe(theirs.allowed)
        expect(ours.remaining).toBe(Number(theirs.drops / (BigInt(cost) * 1000n)))
      }
    }),
  )
})

test('no span of time lets through more than the burst and what was refilled in it', () => {
  fc.assert(
    fc.property(limits, steps, (limit, taken) => {
      let now = 0
      const bucket = fullBucket(now)
      const passed: { at: number; cost: number }[] = []
      for (const { passMs, cost } of taken) {
        now += Math.abs(passMs)
        if (takeTokens(bucket, limit, cost, now).allowed) passed.push({ at: now, cost })
      }
      for (let from = 0; from < passed.length; from++) {
        let sum = 0
        for (const { at, cost } of passed.slice(from)) {
          sum += cost
          expect(sum).toBeLessThanOrEqual(limit.burst + ((at - (passed[from]?.at ?? 0)) * limit.refill) / 1000)
        }
      }
    }),
  )
})

test('after the time that a refusal names the same is allowed, and not a millisecond before', () => {
  fc.assert(
    fc.property(limits, steps, fc.integer({ min: 1, max: 50 }), (limit, taken, wanted) => {
      const cost = Math.min(wanted, limit.burst)
      let now = 0
      const bucket = fullBucket(now)
      for (const step of taken) takeTokens(bucket, limit, step.cost, (now += Math.abs(step.passMs)))
      const { allowed, retryAfterMs } = takeTokens(bucket, limit, cost, now)
      expect(retryAfterMs === 0).toBe(allowed)
      if (allowed) return
      const wait = Math.ceil(retryAfterMs)
      expect(takeTokens({ ...bucket }, limit, cost, now + wait - 1).allowed).toBe(false)
      expect(takeTokens({ ...bucket }, limit, cost, now + wait).allowed).toBe(true)
    }),
  )
})

test('years of use do not wear the count out', () => {
  const limit = { burst: 10, refill: 3 }
  const bucket = fullBucket(0)
  let allowed = 0
  // A token every third of a second: asked for just as often, it is always there, and one more never.
  for (let second = 0; second < 1_000_000; second++) {
    const now = second * 1000
    for (let asked = 0; asked < 4; asked++) if (takeTokens(bucket, limit, 1, now).allowed) allowed++
  }
  expect(allowed).toBe(10 + 999_999 * 3)
})

test('what is more than a full bucket holds is never to be had', () => {
  expect(takeTokens(fullBucket(0), { burst: 5, refill: 1 }, 6, 0)).toMatchObject({
    allowed: false,
    limit: 0,
    remaining: 0,
    retryAfterMs: Number.POSITIVE_INFINITY,
  })
})
