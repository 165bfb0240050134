import { mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog } from './log.ts'

test('lines are JSON, and the file is rotated to one other before it grows too large', () => {
  const dir = mkdtempSync(join(tmpdir(), 'aicm-log-'))
  const log = openLog(join(dir, 'broker.log'), { maxBytes: 1000 })
  for (let number = 0; number < 100; number++) log.write('line', { number })
  log.close()
  expect(readdirSync(dir).toSorted()).toEqual(['broker.log', 'broker.log.1'])
  expect(statSync(join(dir, 'broker.log')).size).toBeLessThanOrEqual(1000)
  expect(statSync(join(dir, 'broker.log.1')).size).toBeLessThanOrEqual(1000)
  const last: unknown = JSON.parse(readFileSync(join(dir, 'broker.log'), 'utf8').trim().split('\n').at(-1) ?? '')
  expect(last).toMatchObject({ message: 'line', number: 99 })
})

test('a folder that cannot be written to costs lines, not the caller', () => {
  const log = openLog('/nonexistent/broker.log')
  expect(() => log.write('lost')).not.toThrow()
})
