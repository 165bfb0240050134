import type { Delta, StreamItem } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { createReader } from './reader.ts'

const delta = (fields: Partial<Delta>): Delta => ({
  type: 'delta',
  after: 0,
  block: 'b',
  kind: 'text',
  at: 0,
  text: '',
  ...fields,
})
const text = (seq: number, block = 'b'): StreamItem => ({ type: 'text', seq, time: '', block, text: 'whole' })

test('a message comes once, and a missing one is a gap that does not move the reader', () => {
  const reader = createReader({ seq: 0 })
  expect(reader.take(text(1))).toEqual(text(1))
  expect(reader.take(text(1))).toBe('known')
  expect(reader.take(text(3))).toBe('gap')
  expect(reader.take(text(2, 'c'))).toEqual(text(2, 'c'))
  expect(reader.cursor()).toEqual({ seq: 2 })
})

test('of a delta that overlaps only what is new is given', () => {
  const reader = createReader({ seq: 0 })
  reader.take(delta({ text: 'Hello' }))
  expect(reader.take(delta({ at: 2, text: 'llo, you' }))).toEqual(delta({ at: 5, text: ', you' }))
  expect(reader.take(delta({ at: 0, text: 'Hello' }))).toBe('known')
  expect(reader.take(delta({ at: 11, text: '!' }))).toBe('gap')
  expect(reader.take(delta({ after: 4, at: 10, text: '!' }))).toBe('gap')
  expect(reader.cursor()).toEqual({ seq: 0, block: 'b', at: 10 })
})

test('a late delta of a block that has ended does not begin it again', () => {
  const reader = createReader({ seq: 0 })
  reader.take(delta({ text: 'wh' }))
  reader.take(text(1))
  expect(reader.take(delta({ text: 'whole' }))).toBe('known')
})

test('an empty delta announces a block once', () => {
  const reader = createReader({ seq: 0 })
  expect(reader.take(delta({ kind: 'tool_use', name: 'Bash' }))).toMatchObject({ name: 'Bash' })
  expect(reader.take(delta({ kind: 'tool_use', name: 'Bash' }))).toBe('known')
})

test('a reader goes on in the middle of a block', () => {
  const reader = createReader({ seq: 7, block: 'b', at: 3 })
  expect(reader.take(delta({ after: 7, at: 0, text: 'Hello' }))).toEqual(delta({ after: 7, at: 3, text: 'lo' }))
})

test('the cursor names the longest open block, and none whose name cannot be written into a cursor', () => {
  const reader = createReader({ seq: 0 })
  reader.take(delta({ block: 'a', text: 'xx' }))
  reader.take(delta({ block: 'b', text: 'xxxx' }))
  reader.take(delta({ block: 'odd name', text: 'xxxxxxxx' }))
  expect(reader.cursor()).toEqual({ seq: 0, block: 'b', at: 4 })
})
