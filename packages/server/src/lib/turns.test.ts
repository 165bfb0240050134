import { expect, test } from 'vitest'
import { createTurns } from './turns.ts'

test('tasks of one key come one after the other, those of another at once, and too many are refused', async () => {
  const inTurn = createTurns(1, 1)
  const log: string[] = []
  const gates = { a: Promise.withResolvers<void>(), b: Promise.withResolvers<void>() }
  const task = (name: string, gate?: Promise<void>) => async () => {
    log.push(name)
    await gate
  }
  const first = inTurn('x', task('x1', gates.a.promise))
  const second = inTurn('x', task('x2', gates.b.promise))
  await inTurn('y', task('y1'))
  await expect(inTurn('x', task('x3'))).rejects.toMatchObject({ code: 'out_of_capacity' })
  expect(log).toEqual(['x1', 'y1'])
  gates.a.resolve()
  await first
  gates.b.resolve()
  await second
  expect(log).toEqual(['x1', 'y1', 'x2'])
})
