import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSlots, type Shortage, type Slot } from './slots.ts'

const never = new AbortController().signal

/** Slots whose holders are known, in the order in which they were served. */
const kit = (limits: { maxLive: number; maxStarting: number }) => {
  const served: string[] = []
  const held: Slot[] = []
  let short: Shortage | undefined
  const idle: Slot[] = []
  const slots = createSlots({
    limits,
    shortage: () => short,
    makeRoom: () => {
      const one = idle.shift()
      if (one === undefined) return undefined
      queueMicrotask(one.release)
      return Promise.resolve(true)
    },
  })
  return {
    slots,
    served,
    held,
    idle,
    set shortage(shortage: Shortage | undefined) {
      short = shortage
    },
    ask: (userId: string, signal = never): Promise<void> =>
      slots.acquire({ userId, signal, onWait: () => undefined }).then((slot) => {
        served.push(userId)
        held.push(slot)
      }),
  }
}

test('whoever waits is served in turn by user, not by who asked most', async () => {
  const { ask, served, held } = kit({ maxLive: 1, maxStarting: 1 })
  const asked = ['a', 'a', 'a', 'a', 'b', 'c', 'b'].map((user) => ask(user))
  for (const waiting of asked.keys()) {
    await expect.poll(() => held.length).toBe(waiting + 1)
    held[waiting]?.release()
  }
  await Promise.all(asked)
  expect(served).toEqual(['a', 'b', 'c', 'a', 'b', 'a', 'a'])
})

test('whose many are heard of first get no more for that: the others catch up, then all are served in turn', async () => {
  const { ask, served, held } = kit({ maxLive: 100, maxStarting: 2 })
  const startNext = async (): Promise<void> => {
    const count = served.length
    held[count - 2]?.started()
    await expect.poll(() => served.length).toBe(count + 1)
  }
  const first = Array.from({ length: 10 }, () => ask('a'))
  await expect.poll(() => served.length).toBe(2)
  await startNext()
  await startNext()
  const second = Array.from({ length: 10 }, () => ask('b'))
  while (served.length < 18) await startNext()
  expect(served.join('')).toBe('aaaabbbbabababababab'.slice(0, 18))
  await startNext()
  await startNext()
  await Promise.all([...first, ...second])
})

test('who got much in a long line waits for others for a while, not until they had as much', async () => {
  const { ask, served, held } = kit({ maxLive: 1000, maxStarting: 1 })
  const startNext = async (): Promise<void> => {
    const count = served.length
    held[count - 1]?.started()
    await expect.poll(() => served.length).toBe(count + 1)
  }
  const asked = Array.from({ length: 101 }, () => ask('a'))
  while (served.length < 100) await startNext()
  asked.push(...Array.from({ length: 100 }, () => ask('b')))
  while (served.lastIndexOf('a') < 100) await startNext()
  expect(served.filter((user) => user === 'b')).toHaveLength(32)
  while (served.length < 201) await startNext()
  await Promise.all(asked)
})

test('what somebody got before there was a time with nothing to wait for is not held against them', async () => {
  const { ask, served, held } = kit({ maxLive: 100, maxStarting: 1 })
  await ask('a')
  held[0]?.started()
  await ask('other')
  const asked = [ask('a'), ask('b')]
  held[1]?.started()
  await asked[0]
  held[2]?.started()
  await asked[1]
  expect(served).toEqual(['a', 'other', 'a', 'b'])
})

test('only so many start at once, however many may live', async () => {
  const { slots, ask, held } = kit({ maxLive: 10, maxStarting: 2 })
  const asked = ['a', 'b', 'c'].map((user) => ask(user))
  await expect.poll(() => held.length).toBe(2)
  expect(slots.counts()).toEqual({ live: 2, starting: 2, waiting: 1 })
  held[0]?.started()
  await Promise.all(asked)
  expect(slots.counts()).toEqual({ live: 3, starting: 2, waiting: 0 })
})

test('an idle process makes room for one that is wanted, and no more are ended than are needed', async () => {
  const { slots, ask, held, idle } = kit({ maxLive: 2, maxStarting: 2 })
  idle.push(slots.hold('a'), slots.hold('a'))
  await ask('a')
  expect(idle).toHaveLength(1)
  expect(slots.counts().live).toBe(2)
  held[0]?.release()
})

test('a user has so many processes at most: more wait for their own to rest or end, and hold up nobody else', async () => {
  const served: string[] = []
  const held: Slot[] = []
  const asked: (string | undefined)[] = []
  const resting: Slot[] = []
  const slots = createSlots({
    limits: { maxLive: 10, maxStarting: 10, maxOf: (userId) => (userId === 'a' ? 2 : 10) },
    shortage: () => undefined,
    makeRoom: (userId) => {
      asked.push(userId)
      const one = resting.shift()
      if (one !== undefined) queueMicrotask(one.release)
      return one && Promise.resolve(true)
    },
  })
  const ask = async (userId: string): Promise<void> => {
    held.push(await slots.acquire({ userId, signal: never, onWait: () => undefined }))
    served.push(userId)
  }
  await Promise.all([ask('a'), ask('a')])
  const waiting = [ask('a'), ask('a')]
  await ask('b')
  expect(served).toEqual(['a', 'a', 'b'])
  expect([slots.liveOf('a'), slots.liveOf('b'), slots.tryAcquire('a')]).toEqual([2, 1, undefined])
  // One of its own rests, and makes room for one of the two.
  resting.push(held[0] as Slot)
  slots.reconsider()
  await expect.poll(() => served.length).toBe(4)
  held[1]?.release()
  await Promise.all(waiting)
  expect(new Set(asked)).toEqual(new Set(['a']))
  for (const slot of held) slot.release()
  expect(slots.counts()).toEqual({ live: 0, starting: 0, waiting: 0 })
})

test('without memory nobody is served, idle processes go first, and new ones are refused with the reason', async () => {
  const k = kit({ maxLive: 10, maxStarting: 10 })
  k.idle.push(k.slots.hold('a'))
  k.shortage = { of: 'memory', reason: 'only 10 MB of memory are left.' }
  expect(() => k.slots.assertRoom()).not.toThrow()
  expect(() => k.slots.assertRoom()).toThrow(/only 10 MB/)
  const asked = k.ask('a')
  k.shortage = undefined
  await asked
  expect(k.served).toEqual(['a'])
})

test('on a full disk nobody is served, nobody is ended for it, and it is told once', async () => {
  const k = kit({ maxLive: 10, maxStarting: 10 })
  k.idle.push(k.slots.hold('a'))
  k.shortage = { of: 'disk', reason: 'the disk is full.' }
  expect(() => k.slots.assertRoom()).toThrow(/the disk is full/)
  const told: unknown[] = []
  const asked = k.slots.acquire({ userId: 'a', signal: never, onWait: (...wait) => told.push(wait) })
  k.slots.reconsider()
  expect(told).toEqual([[0, { of: 'disk', reason: 'the disk is full.' }]])
  expect([k.idle.length, k.slots.counts().waiting]).toEqual([1, 1])
  k.shortage = undefined
  await asked
  expect(told).toHaveLength(1)
})

test('who gives up waiting takes no slot', async () => {
  const { slots, ask, held } = kit({ maxLive: 1, maxStarting: 1 })
  await ask('a')
  const abort = new AbortController()
  const gone = ask('b', abort.signal)
  abort.abort()
  await expect(gone).rejects.toMatchObject({ code: 'not_ready' })
  held[0]?.release()
  expect(slots.counts()).toEqual({ live: 0, starting: 0, waiting: 0 })
})

test('whatever happens in whatever order, limits hold and nobody is forgotten', async () => {
  const acts = fc.array(fc.record({ act: fc.constantFrom('ask', 'start', 'release'), pick: fc.nat(20) }), {
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(acts, async (list) => {
      const { slots, ask, held, served } = kit({ maxLive: 3, maxStarting: 2 })
      let asked = 0
      for (const { act, pick } of list) {
        if (act === 'ask') {
          asked++
          void ask(`u${pick % 3}`)
        }
        if (act === 'start') held[pick % Math.max(1, held.length)]?.started()
        if (act === 'release') held[pick % Math.max(1, held.length)]?.release()
        await Promise.resolve()
        const { live, starting } = slots.counts()
        expect(live).toBeLessThanOrEqual(3)
        expect(starting).toBeLessThanOrEqual(2)
      }
      for (let at = 0; at < held.length || slots.counts().waiting > 0; at++) {
        await expect.poll(() => held.length > at || slots.counts().waiting === 0, { interval: 0 }).toBe(true)
        held[at]?.release()
        await Promise.resolve()
      }
      expect(served).toHaveLength(asked)
      expect(slots.counts()).toEqual({ live: 0, starting: 0, waiting: 0 })
    }),
    { numRuns: 50 },
  )
})

test('a process that got work before it could end is not counted on', async () => {
  const ends: ((will: boolean) => void)[] = []
  const slots = createSlots({
    limits: { maxLive: 1, maxStarting: 1 },
    shortage: () => undefined,
    makeRoom: () => (ends.length > 1 ? undefined : new Promise((resolve) => ends.push(resolve))),
  })
  const busy = slots.hold('a')
  const waiting = slots.acquire({ userId: 'a', signal: never, onWait: () => undefined })
  expect(ends).toHaveLength(1)
  ends[0]?.(false)
  // Another one is asked.
  await expect.poll(() => ends.length).toBe(2)
  ends[1]?.(true)
  busy.release()
  await waiting
})
