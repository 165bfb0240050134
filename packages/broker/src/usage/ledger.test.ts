import { appendFileSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { DraftEntry } from './entry.ts'
import { openLedger } from './ledger.ts'

const entry = (changes: Partial<DraftEntry> = {}): DraftEntry => ({
  time: Date.now(),
  sessionId: 'ses_1',
  userId: 'usr_1',
  credentialId: 'crd_1',
  model: 'claude-opus-5',
  inputTokens: 1,
  outputTokens: 2,
  cacheReadTokens: 3,
  cacheWriteTokens: 4,
  costUsd: 0.25,
  priced: true,
  status: 200,
  end: 'complete',
  firstByteMs: 1,
  ms: 2,
  ...changes,
})
const newDir = () => mkdtempSync(join(tmpdir(), 'aicm-ledger-'))
const seqs = (ledger: ReturnType<typeof openLedger>, after = 0, limit = 1000) =>
  ledger.read(after, limit).map(({ seq }) => seq)
const spent = (ledger: ReturnType<typeof openLedger>) => ledger.sums.get('session/ses_1')

test('entries are numbered from 1 without a gap, and are there again with their sums after a restart', () => {
  const dir = newDir()
  const first = openLedger(dir)
  for (let call = 0; call < 5; call++) first.end(`c${call}`, entry())
  expect(seqs(first)).toEqual([1, 2, 3, 4, 5])
  expect(spent(first)).toMatchObject({ usd: 1.25, tokens: 35 })
  // Not closed: killed.
  const second = openLedger(dir)
  expect(second.id).toBe(first.id)
  expect(second.lastSeq()).toBe(5)
  expect([...second.sums]).toEqual([...first.sums])
  second.end('c6', entry())
  expect(seqs(second, 4)).toEqual([5, 6])
  expect(seqs(second, 1, 2)).toEqual([2, 3])
})

test('what was being answered when it was killed counts with what was known then, once', () => {
  const dir = newDir()
  const first = openLedger(dir)
  first.begin('a', entry({ costUsd: 0.5, end: 'cut' }))
  first.begin('b', entry({ end: 'cut' }))
  first.end('b', entry())
  const second = openLedger(dir)
  expect(second.read(0, 10)).toMatchObject([
    { seq: 1, end: 'complete' },
    { seq: 2, end: 'cut', costUsd: 0.5 },
  ])
  expect(spent(second)?.usd).toBe(0.75)
  expect(openLedger(dir).lastSeq()).toBe(2)
})

test('it goes on in new segments, keeps its sums, and lets go of those that are elsewhere', () => {
  const dir = newDir()
  const ledger = openLedger(dir, { bytes: 2000 })
  const files = () => readdirSync(dir).filter((name) => name.endsWith('.ndjson')).length
  ledger.begin('long', entry({ end: 'cut', sessionId: 'ses_2' }))
  for (let call = 0; call < 100; call++) ledger.end(`c${call}`, entry())
  expect(files()).toBeGreaterThan(5)
  expect(seqs(ledger, 0, 1000)).toHaveLength(100)
  expect(seqs(ledger, 37, 3)).toEqual([38, 39, 40])
  ledger.forget(60)
  expect(seqs(ledger, 60)).toEqual(Array.from({ length: 40 }, (_, index) => 61 + index))
  const again = openLedger(dir)
  expect(spent(again)?.usd).toBe(25)
  // The long answer began many segments ago.
  expect(again.read(100, 10)).toMatchObject([{ seq: 101, end: 'cut', sessionId: 'ses_2' }])
  again.forget(101)
  expect(files()).toBe(1)
  expect(spent(openLedger(dir))?.usd).toBe(25)
})

test('a torn line is passed over, and nothing is lost behind it', () => {
  const dir = newDir()
  openLedger(dir).end('a', entry())
  const [name = ''] = readdirSync(dir).filter((file) => file.endsWith('.ndjson'))
  appendFileSync(join(dir, name), '{"end":"b","entry":{"ses')
  const second = openLedger(dir)
  second.end('c', entry())
  expect(seqs(openLedger(dir))).toEqual([1, 2])
})

test('what cannot be written counts all the same, and is written when it can', () => {
  const dir = newDir()
  const ledger = openLedger(join(dir, 'a'), { bytes: 1 })
  ledger.end('a', entry())
  ledger.close()
  // Every call begins a new segment, and there is no folder to begin it in.
  const gone = openLedger(join(dir, 'a'), { bytes: 1 })
  expect(gone.error()).toBeNull()
  expect(spent(gone)?.usd).toBe(0.25)
})
