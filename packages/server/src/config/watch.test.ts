import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const watchOf = (...argv: string[]) => readConfig(argv, { HOME: '/home/x' }).sessions.watch

test('each watchdog waits as long as its option says', () => {
  const options = ['turn-timeout', 'tool-timeout', 'start-timeout', 'result-timeout']
  options.push('ping-interval', 'ping-timeout', 'stop-timeout')
  expect(watchOf(...options.flatMap((option, at) => [`--${option}`, `${at + 1}s`]))).toEqual({
    ...{ turnMs: 1000, toolMs: 2000, startMs: 3000, resultMs: 4000, pingMs: 5000, pongMs: 6000, graceMs: 7000 },
  })
  // A timer cannot wait for ever.
  expect(watchOf('--ping-interval', 'never').pingMs).toBe(2 ** 31 - 1)
})
