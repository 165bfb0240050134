import { expect, test } from 'vitest'
import { formatAgo, formatBytes, formatCost, formatCount, formatDuration } from './format.ts'

test.each([
  [12, '12 ms'],
  [4200, '4.2 s'],
  [9960, '10 s'],
  [59_600, '1 min'],
  [65_000, '1 min 5 s'],
  [7_380_000, '2 h 3 min'],
  [200_000_000, '2 days'],
])('%i ms reads %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test.each([
  [999, '999'],
  [1000, '1k'],
  [12_345, '12.3k'],
  [999_600, '1M'],
  [1_234_567, '1.2M'],
])('%i tokens read %s', (count, text) => {
  expect(formatCount(count)).toBe(text)
})

test('a small cost is not shown as nothing', () => {
  expect([0, 0.00001, 0.0042, 0.123, 4.5].map(formatCost)).toEqual(['$0', '< $0.0001', '$0.0042', '$0.123', '$4.50'])
})

test('sizes are in units a person reads', () => {
  expect([100, 2048, 5 * 1024 * 1024].map(formatBytes)).toEqual(['100 B', '2 KB', '5.0 MB'])
})

test('times are told from now, and as dates when they are old', () => {
  const now = Date.parse('2026-03-10T12:00:00.000Z')
  const ago = (time: string) => formatAgo(time, now, 'en-GB')
  expect(ago('2026-03-10T11:59:30.000Z')).toBe('now')
  expect(ago('2026-03-10T12:00:30.000Z')).toBe('now')
  expect(ago('2026-03-10T11:40:00.000Z')).toBe('20 min ago')
  expect(ago('2026-03-10T07:00:00.000Z')).toBe('5 h ago')
  expect(ago('2026-03-09T07:00:00.000Z')).toBe('yesterday')
  expect(ago('2026-02-01T12:00:00.000Z')).toBe('1 Feb')
  expect(ago('2024-02-01T12:00:00.000Z')).toBe('1 Feb 2024')
  expect(ago('nonsense')).toBe('')
})
