import { expect, test } from 'vitest'
import { parseDuration } from './duration.ts'

test.each([
  ['90s', 90_000],
  ['15m', 900_000],
  ['1.5h', 5_400_000],
  ['30d', 2_592_000_000],
  ['500ms', 500],
  ['never', undefined],
  ['15', Number.NaN],
  ['m', Number.NaN],
  ['-1s', Number.NaN],
  ['', Number.NaN],
])('%s', (text, ms) => {
  expect(parseDuration(text)).toEqual(ms)
})
