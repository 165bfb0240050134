import { expect, test } from 'vitest'
import { tally } from './lib/tally.js'

const report = (...statuses: string[]) => ({
  numTotalTests: statuses.length,
  testResults: [
    {
      name: 'a.test.ts',
      status: statuses.includes('failed') ? 'failed' : 'passed',
      assertionResults: statuses.map((status, index) => ({ fullName: `test ${index}`, status })),
    },
  ],
})

test('passed and failed tests are counted, and the failed ones named', () => {
  const counted = tally({ report: report('passed', 'passed', 'failed'), ok: false, forbidSkips: false })
  expect(counted).toEqual({ passed: 2, failed: 1, problems: ['failed: test 2'] })
})

test('a skipped test fails the run only where skips are forbidden', () => {
  expect(tally({ report: report('passed', 'skipped'), ok: true, forbidSkips: false })).toMatchObject({
    passed: 1,
    failed: 0,
  })
  expect(tally({ report: report('passed', 'skipped', 'todo'), ok: true, forbidSkips: true })).toMatchObject({
    passed: 1,
    failed: 2,
  })
})

test('a file that cannot be loaded, an error outside tests and a run without tests are failures', () => {
  const unloadable = {
    numTotalTests: 0,
    testResults: [{ name: 'b.test.ts', status: 'failed', message: 'no such module', assertionResults: [] }],
  }
  expect(tally({ report: unloadable, ok: false, forbidSkips: false }).problems).toContain(
    'could not run: b.test.ts: no such module',
  )
  expect(tally({ report: report('passed'), ok: false, forbidSkips: false })).toMatchObject({ passed: 1, failed: 1 })
  expect(tally({ report: { numTotalTests: 0, testResults: [] }, ok: true, forbidSkips: false })).toMatchObject({
    failed: 1,
  })
})
