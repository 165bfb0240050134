import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Message, StreamItem } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { checkAgainstLog, checkExecutions, checkTurns } from '../chaos/lib/check.ts'
import { followSession } from '../chaos/lib/reader.ts'
import { isMet, type Problem } from '../chaos/lib/trial.ts'

// What `npm run chaos` finds when there is something to be found.

const kinds = (problems: readonly Problem[]): string[] => problems.map(({ kind }) => kind)
const time = '2020-01-01T00:00:00.000Z'
const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }

const prompt = (seq: number, turnId: string): Message => ({
  ...{ type: 'prompt', seq, time, turnId, userId: 'usr_1' },
  content: [{ type: 'text', text: turnId }],
})
const text = (seq: number, turnId: string, said: string): Message => ({
  ...{ type: 'text', seq, time, turnId, block: `b${seq}`, text: said },
})
const complete = (seq: number, turnId: string, result: 'success' | 'error' = 'success'): Message => ({
  ...{ type: 'complete', seq, time, turnId, result, reason: 'completed', usage, durationMs: 1 },
})
const log = [prompt(1, 'a'), text(2, 'a', 'one'), text(3, 'a', 'two'), complete(4, 'a')]
const without = (...seqs: number[]): Message[] => log.filter(({ seq }) => !seqs.includes(seq))
const accepted = new Map([['a', { seq: 1, answer: ['one', 'two'] }]])

test('turns: nothing is wrong with a whole one', () => {
  expect(checkTurns(log, accepted)).toEqual([])
})

test('turns: a lost prompt, end or text, one that comes twice, and another order are found', () => {
  expect(kinds(checkTurns(without(4), accepted))).toEqual(['lost'])
  expect(kinds(checkTurns(without(1), accepted))).toContain('lost')
  expect(kinds(checkTurns(without(3), accepted))).toEqual(['lost'])
  expect(kinds(checkTurns([], accepted))).toContain('lost')
  expect(kinds(checkTurns([...log, text(5, 'a', 'two')], accepted))).toEqual(['doubled'])
  expect(kinds(checkTurns([...log, complete(5, 'a')], accepted))).toEqual(['doubled'])
  expect(kinds(checkTurns(log, new Map([['a', { seq: 1, answer: ['two', 'one'] }]])))).toEqual(['disordered'])
  expect(kinds(checkTurns(log, new Map([['a', { seq: 9, answer: ['one', 'two'] }]])))).toEqual(['disordered'])
  expect(kinds(checkTurns([...without(4), complete(4, 'a', 'error')], accepted))).toEqual(['failed'])
})

test('turns: after a kill of claude what it said may begin anew, but nothing may be missing', () => {
  const killed = new Map([['a', { seq: 1, answer: ['one', 'two'], claudeKilled: true }]])
  const again = [prompt(1, 'a'), text(2, 'a', 'one'), text(3, 'a', 'one'), text(4, 'a', 'two'), complete(5, 'a')]
  expect(checkTurns(again, killed)).toEqual([])
  expect(kinds(checkTurns(again, accepted))).toEqual(['doubled'])
  expect(kinds(checkTurns(again.slice(0, 3).concat(complete(5, 'a')), killed))).toEqual(['lost'])
})

test('what was told is held against the log', () => {
  expect(checkAgainstLog(log, log)).toEqual([])
  expect(kinds(checkAgainstLog(without(2), log))).toEqual(['lost'])
  expect(kinds(checkAgainstLog(log, without(2)))).toEqual(['doubled'])
})

test('a prompt that was never executed, or again, is found', () => {
  const noted = new Map([
    ['once', ['started', 'begun', 'done']],
    ['twice', ['started', 'begun', 'started', 'done']],
    ['anew', ['started', 'started', 'done']],
  ])
  expect(checkExecutions(noted, ['once'], { anew: false })).toEqual([])
  expect(kinds(checkExecutions(noted, ['never'], { anew: true }))).toEqual(['lost'])
  expect(kinds(checkExecutions(noted, ['twice'], { anew: true }))).toEqual(['doubled'])
  expect(checkExecutions(noted, ['anew'], { anew: true })).toEqual([])
  expect(kinds(checkExecutions(noted, ['anew'], { anew: false }))).toEqual(['doubled'])
})

test('a trial that was never tried is missed', () => {
  const row = { name: 'n', title: 't', limit: 'l', problems: [] }
  expect(isMet({ ...row, count: 1 })).toBe(true)
  expect(isMet({ ...row, count: 0 })).toBe(false)
  expect(isMet({ ...row, count: 1, problems: [{ kind: 'failed', what: 'w' }] })).toBe(false)
})

/** What a reader blames on a server that sends these items, a frame for each. */
const blamed = async (items: StreamItem[]): Promise<string[]> => {
  const http = createServer()
  const sockets = new WebSocketServer({ server: http })
  sockets.on('connection', (socket) =>
    socket.on('message', () => {
      for (const item of items) socket.send(JSON.stringify({ type: 'events', sessionId: 's', items: [item] }))
    }),
  )
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const last = items.at(-1)
  let seen = 0
  const reader = followSession({
    url: `http://127.0.0.1:${address.port}`,
    token: '',
    sessionId: 's',
    onMessage: ({ seq }) => void (seen = seq),
  })
  try {
    await reader.until('all is told', () => last !== undefined && 'seq' in last && seen === last.seq)
    return kinds(reader.problems)
  } finally {
    reader.stop()
    sockets.close()
    http.close()
  }
}

const delta = (block: string, at: number, said: string): StreamItem => ({
  ...{ type: 'delta', after: 1, block, kind: 'text', at, text: said },
})

test('a reader finds what a server leaves out, tells twice, out of order or differently', async () => {
  const end = complete(9, 'a')
  expect(await blamed([...log.slice(0, 3), { ...end, seq: 4 }])).toEqual([])
  expect(await blamed([log[0] ?? end, { ...end, seq: 3 }])).toEqual(['lost'])
  expect(await blamed([log[0] ?? end, log[0] ?? end, { ...end, seq: 2 }])).toEqual(['doubled'])
  expect(await blamed([log[0] ?? end, log[2] ?? end, log[1] ?? end, { ...end, seq: 4 }])).toEqual([
    'lost',
    'disordered',
  ])
  expect(await blamed([log[0] ?? end, delta('b2', 0, 'o'), delta('b2', 1, 'ne'), ...log.slice(1)])).toEqual([])
  expect(await blamed([log[0] ?? end, delta('b2', 1, 'ne'), ...log.slice(1)])).toContain('lost')
  expect(await blamed([log[0] ?? end, delta('b2', 0, 'on'), delta('b2', 1, 'xe'), ...log.slice(1)])).toContain(
    'disordered',
  )
  expect(await blamed([log[0] ?? end, delta('b2', 0, 'other'), ...log.slice(1)])).toContain('disordered')
  expect(await blamed([...log.slice(0, 2), delta('b2', 0, 'one'), ...log.slice(2)])).toContain('doubled')
})
