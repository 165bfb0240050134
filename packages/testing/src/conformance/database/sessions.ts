import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import {
  appendOf,
  approvalMessage,
  freshId,
  idOf,
  promptMessage,
  sessionRecord,
  sessionState,
  textMessage,
  turnState,
} from '../records.ts'

const userId = idOf('usr', 1)
const turn = '11111111-1111-4111-8111-111111111111'

export const sessionTests = (open: OpenDatabase): void => {
  test('a session is read back exactly', async () => {
    await using database = await open()
    const record = sessionRecord({
      name: 'Ünïcode "name"',
      model: 'opus',
      permissionMode: 'acceptEdits',
      systemPrompt: 'Be brief.\nBe kind.',
      maxTurns: 7,
      oneShot: true,
      source: { generation: 2, offset: 123 },
      state: sessionState({
        status: 'running',
        turn: turnState({ openTools: ['toolu_1'] }),
        queue: [turn],
        costUsd: 0.25,
      }),
    })
    await database.sessions.create(record)
    expect(await database.sessions.get(record.id)).toEqual(record)
    expect(await database.sessions.list({ userId: record.userId, limit: 10 })).toEqual([record])
  })

  test('an unknown session is undefined', async () => {
    await using database = await open()
    expect(await database.sessions.get(freshId('ses'))).toBeUndefined()
  })

  test('an id is given once', async () => {
    await using database = await open()
    const record = sessionRecord({ name: 'First' })
    await database.sessions.create(record)
    await expect(database.sessions.create({ ...record, name: 'Second' })).rejects.toMatchObject({ code: 'internal' })
    expect(await database.sessions.get(record.id)).toEqual(record)
  })

  test('what a reader does to its copy is not stored', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    const read = await database.sessions.get(record.id)
    try {
      read!.state.queue.push(turn)
      read!.name = 'changed'
    } catch (error) {
      // Some give out what cannot be changed.
      expect(error).toBeInstanceOf(TypeError)
    }
    expect(await database.sessions.get(record.id)).toEqual(record)
  })

  test('a list is newest first, and goes on before an id', async () => {
    await using database = await open()
    const ids = [3, 1, 5, 2, 4].map((order) => idOf('ses', order))
    for (const id of ids) await database.sessions.create(sessionRecord({ id }))
    await database.sessions.create(sessionRecord({ id: idOf('ses', 6), userId: idOf('usr', 2) }))
    const page = async (limit: number, before?: string) =>
      (await database.sessions.list({ userId, limit, before })).map(({ id }) => id)
    expect(await page(2)).toEqual([idOf('ses', 5), idOf('ses', 4)])
    expect(await page(2, idOf('ses', 4))).toEqual([idOf('ses', 3), idOf('ses', 2)])
    expect(await page(2, idOf('ses', 2))).toEqual([idOf('ses', 1)])
    expect(await page(2, idOf('ses', 1))).toEqual([])
    expect(await page(10)).toEqual([5, 4, 3, 2, 1].map((order) => idOf('ses', order)))
  })

  test('a list is filtered by user, status and workspace together', async () => {
    await using database = await open()
    const closed = sessionState({ status: 'closed' })
    const [elsewhere, workspaceId] = [idOf('wsp', 2), idOf('wsp', 1)]
    await database.sessions.create(sessionRecord({ id: idOf('ses', 1) }))
    await database.sessions.create(sessionRecord({ id: idOf('ses', 2), state: closed }))
    await database.sessions.create(sessionRecord({ id: idOf('ses', 3), workspaceId: elsewhere, state: closed }))
    await database.sessions.create(sessionRecord({ id: idOf('ses', 4), workspaceId: elsewhere }))
    await database.sessions.create(sessionRecord({ id: idOf('ses', 5), userId: idOf('usr', 2), state: closed }))
    const orders = async (filter: {
      status?: 'idle' | 'closed'
      workspaceId?: string
      before?: string
      text?: string
    }) => (await database.sessions.list({ userId, limit: 10, ...filter })).map(({ id }) => Number(id.slice(4)))
    expect(await orders({ status: 'closed' })).toEqual([3, 2])
    expect(await orders({ workspaceId })).toEqual([2, 1])
    expect(await orders({ status: 'closed', workspaceId })).toEqual([2])
    expect(await orders({ status: 'closed', before: idOf('ses', 3) })).toEqual([2])
    expect(await orders({ status: 'idle', workspaceId: elsewhere, text: 'SESSION', before: idOf('ses', 5) })).toEqual([
      4,
    ])
  })

  test.each([
    ['50%', ['50% off']],
    ['_', ['snake_case']],
    ['%', ['50% off']],
    ['\\', ['back\\slash']],
    ["'", ["it's"]],
    ['OFF', ['50% off']],
    ['snake_CASE', ['snake_case']],
    ['éTé', ['Été à Paris']],
    ['e\u0301te', []],
    ['E\u0301t', ['Été à Paris']],
    ['ς', []],
    ['absent', []],
  ])('the text %s finds the names that hold it literally, whatever their case', async (text, expected) => {
    await using database = await open()
    for (const name of ['50% off', 'snake_case', 'snakeXcase', 'back\\slash', "it's", 'Été à Paris']) {
      await database.sessions.create(sessionRecord({ name }))
    }
    expect((await database.sessions.list({ userId, text, limit: 10 })).map(({ name }) => name)).toEqual(expected)
  })

  test('the text finds a new name once it is changed', async () => {
    await using database = await open()
    const record = sessionRecord({ name: 'Old' })
    await database.sessions.create(record)
    await database.events.append(appendOf(record, [], { name: 'New' }))
    expect(await database.sessions.list({ userId, text: 'old', limit: 10 })).toEqual([])
    expect(await database.sessions.list({ userId, text: 'new', limit: 10 })).toEqual([{ ...record, name: 'New' }])
  })

  test('open sessions are those that are not closed, whoever has them', async () => {
    await using database = await open()
    const statuses = ['creating', 'idle', 'running', 'error', 'recovering', 'closed'] as const
    for (const [order, status] of statuses.entries()) {
      await database.sessions.create(
        sessionRecord({ id: idOf('ses', order), userId: idOf('usr', order), state: sessionState({ status }) }),
      )
    }
    const found = await database.sessions.listOpen()
    expect(found.map(({ state }) => state.status).sort()).toEqual([
      'creating',
      'error',
      'idle',
      'recovering',
      'running',
    ])
    expect(await database.sessions.countOpen(idOf('wsp', 1))).toBe(5)
    expect(await database.sessions.countOpen(idOf('wsp', 2))).toBe(0)
    expect(await database.sessions.counts()).toEqual({ total: 6, running: 1 })
  })

  test('counts follow what an append changes', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    expect(await database.sessions.counts()).toEqual({ total: 1, running: 0 })
    await database.events.append(appendOf(record, [], { state: sessionState({ status: 'running' }) }))
    expect(await database.sessions.counts()).toEqual({ total: 1, running: 1 })
    await database.events.append(appendOf(record, [], { state: sessionState({ status: 'closed' }) }))
    expect(await database.sessions.counts()).toEqual({ total: 1, running: 0 })
    expect(await database.sessions.countOpen(record.workspaceId)).toBe(0)
    expect(await database.sessions.listOpen()).toEqual([])
  })

  test('deleting a session removes its events and approvals, and nobody else’s', async () => {
    await using database = await open()
    const [gone, kept] = [sessionRecord(), sessionRecord()]
    const [goneApproval, keptApproval] = [freshId('apr'), freshId('apr')]
    for (const [record, approvalId] of [
      [gone, goneApproval],
      [kept, keptApproval],
    ] as const) {
      await database.sessions.create(record)
      await database.events.append(
        appendOf(record, [promptMessage(1, turn), textMessage(2), approvalMessage(3, approvalId, 'pending')]),
      )
    }
    await database.sessions.delete(gone.id)
    expect(await database.sessions.get(gone.id)).toBeUndefined()
    expect(await database.events.read({ sessionId: gone.id, after: 0, limit: 10 })).toEqual([])
    expect(await database.events.findPrompt(gone.id, turn)).toBeUndefined()
    expect(await database.approvals.get(goneApproval)).toBeUndefined()
    expect((await database.approvals.listPending({ userId })).map(({ id }) => id)).toEqual([keptApproval])
    expect(await database.events.read({ sessionId: kept.id, after: 0, limit: 10 })).toHaveLength(3)
    expect((await database.sessions.list({ userId, limit: 10 })).map(({ id }) => id)).toEqual([kept.id])
    await database.sessions.delete(gone.id)
  })

  test('a deleted session takes no more events', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    await database.sessions.delete(record.id)
    await expect(database.events.append(appendOf(record, [textMessage(1)]))).rejects.toMatchObject({ code: 'internal' })
    expect(await database.sessions.get(record.id)).toBeUndefined()
    expect(await database.events.read({ sessionId: record.id, after: 0, limit: 10 })).toEqual([])
  })
}
