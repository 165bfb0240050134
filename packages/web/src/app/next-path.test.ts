import { expect, test } from 'vitest'
import { nextPath } from './next-path.ts'

test('a path of this page is kept with its query', () => {
  expect(nextPath('/sessions/ses_1?status=idle')).toBe('/sessions/ses_1?status=idle')
})

test.each([
  '//evil.example',
  'https://evil.example',
  '/\\evil.example',
  '/\t/evil.example',
  'javascript:alert(1)',
  '/login?next=/login',
  '',
  undefined,
  3,
])('%s leads to the sessions', (next) => {
  expect(nextPath(next)).toBe('/sessions')
})
