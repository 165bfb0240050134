import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { appendOf, freshId, sessionRecord, sessionState, textMessage, userRecord } from '../records.ts'

export const quotaTests = (open: OpenDatabase): void => {
  test("what differs from the server's quotas is kept as it was last set", async () => {
    await using database = await open()
    const user = userRecord()
    await database.users.create(user)
    const listed = async () => (await database.quotas.listAll()).filter(({ userId }) => userId === user.id)
    expect(await database.quotas.get(user.id)).toBeUndefined()
    expect(await listed()).toEqual([])
    await database.quotas.set(user.id, { sessions: 5, bytes: null })
    expect(await database.quotas.get(user.id)).toEqual({ sessions: 5, bytes: null })
    await database.quotas.set(user.id, { prompts: 0 })
    expect(await database.quotas.get(user.id)).toEqual({ prompts: 0 })
    expect(await listed()).toEqual([{ userId: user.id, changes: { prompts: 0 } }])
    expect(await database.quotas.get(freshId('usr'))).toBeUndefined()
  })

  test("a user's open sessions are counted, closed ones and others' are not", async () => {
    await using database = await open()
    const userId = freshId('usr')
    const closed = sessionRecord({ userId, state: sessionState({ status: 'closed' }) })
    for (const record of [sessionRecord({ userId }), sessionRecord({ userId }), closed, sessionRecord()])
      await database.sessions.create(record)
    expect(await database.sessions.countOpenOf(userId)).toBe(2)
    expect(await database.sessions.countOpenOf(freshId('usr'))).toBe(0)
  })

  test('the bytes of a log are counted from a place in it on, as UTF-8', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    expect(await database.events.countBytes({ sessionId: record.id, after: 0 })).toEqual({ bytes: 0, lastSeq: 0 })
    const events = [textMessage(1, 'plain'), textMessage(2, 'žluťoučký'), textMessage(3, '🐎')]
    await database.events.append(appendOf(record, events))
    const sizeOf = (from: number): number =>
      events.slice(from).reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0)
    for (const after of [0, 1, 3])
      expect(await database.events.countBytes({ sessionId: record.id, after })).toEqual({
        bytes: sizeOf(after),
        lastSeq: 3,
      })
  })
}
