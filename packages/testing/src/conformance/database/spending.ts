import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { credentialRecord, freshId, idOf, usageRecord } from '../records.ts'

const day = 24 * 3_600_000
const start = Date.UTC(2026, 10, 1)
const all = { from: 0, to: Number.MAX_SAFE_INTEGER }

export const spendingTests = (open: OpenDatabase): void => {
  test('a call that is told twice counts once, and ledgers have their own numbers', async () => {
    await using database = await open()
    const calls = [usageRecord({ seq: 1 }), usageRecord({ seq: 2 })]
    await database.usage.add(calls)
    await database.usage.add([...calls, usageRecord({ seq: 3 }), usageRecord({ seq: 1, ledger: 'other' })])
    expect(await database.usage.getLastSeq(calls[0]!.ledger)).toBe(3)
    expect(await database.usage.getLastSeq('other')).toBe(1)
    expect(await database.usage.getLastSeq('unknown')).toBe(0)
    expect(await database.usage.listSums(all, 'model')).toMatchObject([{ calls: 4 }])
  })

  test('many calls are taken at once', async () => {
    await using database = await open()
    await database.usage.add(Array.from({ length: 1201 }, (_, index) => usageRecord({ seq: index + 1 })))
    expect(await database.usage.listSums(all, 'user')).toMatchObject([{ calls: 1201 }])
  })

  test('sums are by user, session, model or day, within a time and of one user or session', async () => {
    await using database = await open()
    const [ada, bob] = [idOf('usr', 1), idOf('usr', 2)]
    await database.usage.add([
      usageRecord({ seq: 1, time: start, userId: ada, sessionId: 's1', costUsd: 0.25, inputTokens: 10 }),
      usageRecord({ seq: 2, time: start + day - 1, userId: ada, sessionId: 's2', costUsd: 0.5, priced: false }),
      usageRecord({ seq: 3, time: start + day, userId: bob, sessionId: 's3', costUsd: 1, model: 'other' }),
    ])
    const keys = async (group: 'user' | 'session' | 'model' | 'day', filter: object = {}) =>
      (await database.usage.listSums({ ...all, ...filter }, group)).map(({ key, costUsd }) => [key, costUsd])
    expect(await keys('user')).toEqual([
      [ada, 0.75],
      [bob, 1],
    ])
    expect(await keys('day')).toEqual([
      ['2026-11-01', 0.75],
      ['2026-11-02', 1],
    ])
    expect((await keys('session', { userId: ada })).map(([key]) => key)).toEqual(['s1', 's2'])
    expect(await keys('model', { to: start + day })).toEqual([['claude-test', 0.75]])
    expect(await keys('user', { from: start + day })).toEqual([[bob, 1]])
    expect(await keys('model', { sessionId: 's3' })).toEqual([['other', 1]])
    expect((await database.usage.listSums({ ...all, userId: ada }, 'user'))[0]).toMatchObject({ calls: 2, guessed: 1 })
  })

  test('a credential is read back exactly, changed and removed; they are listed oldest first', async () => {
    await using database = await open()
    const first = credentialRecord({ id: idOf('crd', 1) })
    const shared = credentialRecord({ id: idOf('crd', 2), userId: null, enabled: false, upstream: 'https://a' })
    await database.credentials.create(shared)
    await database.credentials.create(first)
    expect(await database.credentials.listAll()).toEqual([first, shared])
    await database.credentials.update(first.id, {
      name: 'new',
      sealed: 'x',
      hint: 'wxyz',
      enabled: false,
      updatedAt: 9,
    })
    expect(await database.credentials.get(first.id)).toEqual({
      ...first,
      ...{ name: 'new', sealed: 'x', hint: 'wxyz', enabled: false, updatedAt: 9 },
    })
    await database.credentials.delete(first.id)
    expect(await database.credentials.get(first.id)).toBeUndefined()
    expect(await database.credentials.get(freshId('crd'))).toBeUndefined()
  })

  test('a budget takes the place of the one before', async () => {
    await using database = await open()
    await database.budgets.put({ of: 'server', day: { usd: 1 }, month: null, updatedAt: 1 })
    await database.budgets.put({ of: 'everybody', day: null, month: { tokens: 5 }, updatedAt: 1 })
    const changed = { of: 'server', day: null, month: { usd: 2, tokens: 3 }, updatedAt: 2 }
    await database.budgets.put(changed)
    expect(await database.budgets.listAll()).toEqual([
      { of: 'everybody', day: null, month: { tokens: 5 }, updatedAt: 1 },
      changed,
    ])
  })
}
