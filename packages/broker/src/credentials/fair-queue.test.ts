import { expect, test } from 'vitest'
import { createFairQueue } from './fair-queue.ts'

const never = new AbortController().signal

test('who waits is served in turn by user, whoever asked how often', async () => {
  const queue = createFairQueue({ room: 1, mostWaiting: 100 })
  const leave = await queue.enter('first', never)
  const served: string[] = []
  const waits = ['a', 'a', 'a', 'b', 'c', 'b'].map(async (user) => {
    const done = await queue.enter(user, never)
    served.push(user)
    done?.()
    done?.()
  })
  expect([queue.active(), queue.waiting()]).toEqual([1, 6])
  leave?.()
  await Promise.all(waits)
  expect(served).toEqual(['a', 'b', 'c', 'a', 'b', 'a'])
  expect([queue.active(), queue.waiting()]).toEqual([0, 0])
})

test('too many are turned away at once, and who goes away leaves room', async () => {
  const queue = createFairQueue({ room: 1, mostWaiting: 1 })
  const leave = await queue.enter('a', never)
  const going = new AbortController()
  const waits = queue.enter('a', going.signal)
  expect(await queue.enter('b', never)).toBeUndefined()
  going.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
  const next = queue.enter('b', never)
  leave?.()
  expect(await next).toBeTypeOf('function')
  expect([queue.active(), queue.waiting()]).toEqual([1, 0])
})
