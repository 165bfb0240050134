import type { UsageEntry } from '@aicm/broker'
import { newRecord } from '@aicm/testing/session-record'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { createUsageTaker } from './take-usage.ts'

/** A ledger of one session's calls, each for a dollar. */
const open = () => {
  const { id: sessionId, userId } = newRecord()
  const entries: UsageEntry[] = []
  const compared: boolean[] = []
  const m = { record: newRecord() as SessionRecord | undefined, compared, forgotten: 0 }
  const take = createUsageTaker({
    usage: openMemoryDatabase().usage,
    control: {
      ledger: async (after) => ({ id: 'ledger', entries: entries.filter(({ seq }) => seq > after) }),
      forget: async (upTo) => void (m.forgotten = upTo),
    },
    peek: async () => m.record,
    onCompared: (agrees) => void compared.push(agrees),
    log: pino({ level: 'silent' }),
  })
  const spend = (): void =>
    void entries.push({
      ...{ seq: entries.length + 1, time: 1, sessionId, userId, credentialId: 'crd', model: 'claude-x', status: 200 },
      ...{ inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 1, priced: true },
      ...{ end: 'complete', firstByteMs: 1, ms: 1 },
    })
  return { m, spend, take: () => take({ ledger: { id: 'ledger', lastSeq: entries.length, error: null } }) }
}

test('what claude tells is compared when the turn is over, also where nothing is spent any more by then', async () => {
  const { m, spend, take } = open()
  const turn = { id: 't', promptId: 't', phase: 'started', interrupt: 'none', openTools: [] } as const
  m.record = newRecord({ turn: { ...turn, openTools: [] } })
  spend()
  await take()
  expect(m).toMatchObject({ compared: [], forgotten: 1 })
  m.record = newRecord({ costUsd: 1.01 })
  await take()
  await take()
  expect(m.compared).toEqual([true])
  spend()
  await take()
  expect(m.compared).toEqual([true, false])
})

test('a session that is gone is compared with nothing', async () => {
  const { m, spend, take } = open()
  m.record = undefined
  spend()
  await take()
  m.record = newRecord({ costUsd: 9 })
  await take()
  expect(m.compared).toEqual([])
})
