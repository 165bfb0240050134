import { expect, test } from 'vitest'
import { visible, withoutAnsi } from './visible.ts'

test('what turns the direction of text is shown, not obeyed', () => {
  expect(visible('rm \u202e-rf\u2066')).toBe('rm \\u202e-rf\\u2066')
})

test('control characters are shown; tabs and lines stay', () => {
  expect(visible('a\u0007\tb\r\nc')).toBe('a\\u0007\tb\nc')
})

test('terminal colours and titles disappear', () => {
  expect(withoutAnsi('\u001b[31mred\u001b[0m \u001b]0;title\u0007ok')).toBe('red ok')
})
