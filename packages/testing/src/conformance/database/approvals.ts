import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { appendOf, approvalMessage, freshId, idOf, sessionRecord, time } from '../records.ts'

export const approvalTests = (open: OpenDatabase): void => {
  test('an approval is a view of the log: pending, then what became of it', async () => {
    await using database = await open()
    const record = sessionRecord()
    const id = freshId('apr')
    await database.sessions.create(record)
    const pending = appendOf(record, [approvalMessage(1, id, 'pending')])
    await database.events.append(pending)
    const expected = {
      id,
      sessionId: record.id,
      userId: record.userId,
      turnId: '00000000-0000-4000-8000-000000000001',
      tool: 'Bash',
      toolUseId: 'toolu_1',
      input: { command: 'ls' },
      canRemember: true,
      state: 'pending',
      createdAt: Date.parse(time),
    }
    expect(await database.approvals.get(id)).toEqual(expected)
    await database.events.append(appendOf(pending.record, [approvalMessage(2, id, 'denied')]))
    expect(await database.approvals.get(id)).toEqual({ ...expected, state: 'denied' })
    expect(await database.approvals.listPending({ userId: record.userId })).toEqual([])
  })

  test('asked and answered in one append', async () => {
    await using database = await open()
    const record = sessionRecord()
    const id = freshId('apr')
    await database.sessions.create(record)
    await database.events.append(
      appendOf(record, [approvalMessage(1, id, 'pending'), approvalMessage(2, id, 'allowed')]),
    )
    expect(await database.approvals.get(id)).toMatchObject({ state: 'allowed' })
  })

  test('what is pending is listed oldest first, for its owner only', async () => {
    await using database = await open()
    const [first, second] = [sessionRecord(), sessionRecord()]
    const stranger = sessionRecord({ userId: idOf('usr', 2) })
    for (const record of [first, second, stranger]) await database.sessions.create(record)
    const approval = (seq: number, order: number) => approvalMessage(seq, idOf('apr', order), 'pending')
    await database.events.append(appendOf(first, [approval(1, 4), approval(2, 1)]))
    await database.events.append(appendOf(second, [approval(1, 3)]))
    await database.events.append(appendOf(stranger, [approval(1, 2)]))
    const orders = async (filter: { userId: string; sessionId?: string }) =>
      (await database.approvals.listPending(filter)).map(({ id }) => Number(id.slice(4)))
    expect(await orders({ userId: first.userId })).toEqual([1, 3, 4])
    expect(await orders({ userId: first.userId, sessionId: first.id })).toEqual([1, 4])
    expect(await orders({ userId: stranger.userId })).toEqual([2])
    expect(await orders({ userId: stranger.userId, sessionId: first.id })).toEqual([])
  })

  test('an unknown approval is undefined', async () => {
    await using database = await open()
    expect(await database.approvals.get(freshId('apr'))).toBeUndefined()
  })
}
