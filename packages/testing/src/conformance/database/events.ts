import type { Message } from '@aicm/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import {
  appendOf,
  approvalMessage,
  completeMessage,
  freshId,
  promptMessage,
  sessionRecord,
  sessionState,
  textMessage,
} from '../records.ts'

const turn = '11111111-1111-4111-8111-111111111111'
const otherTurn = '22222222-2222-4222-8222-222222222222'
const all = { after: 0, limit: 100_000 }

/** One of each kind that a column or an index knows, and text that encodings stumble over. */
const awkwardEvents = (): Message[] => [
  promptMessage(1, turn),
  textMessage(2, 'naïve 🦊 "quoted" \\ \u0000 \u2028 \ud800 end'),
  {
    type: 'tool_use',
    seq: 3,
    time: textMessage(3).time,
    turnId: turn,
    block: 'b3',
    toolUseId: 't',
    name: 'Bash',
    input: { a: [1, null, { b: true }] },
  },
  { type: 'system', seq: 4, time: textMessage(4).time, subtype: 'unparsed', data: '{' },
  completeMessage(5, turn),
]

export const eventTests = (open: OpenDatabase): void => {
  test('what was appended is read back, exactly and in order', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    await database.events.append(appendOf(record, awkwardEvents()))
    expect(await database.events.read({ sessionId: record.id, ...all })).toEqual(awkwardEvents())
  })

  test('reading starts after a cursor and stops at a limit', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    await database.events.append(
      appendOf(
        record,
        [1, 2, 3, 4, 5].map((seq) => textMessage(seq)),
      ),
    )
    const seqs = async (after: number, limit: number) =>
      (await database.events.read({ sessionId: record.id, after, limit })).map(({ seq }) => seq)
    expect(await seqs(0, 2)).toEqual([1, 2])
    expect(await seqs(2, 2)).toEqual([3, 4])
    expect(await seqs(4, 2)).toEqual([5])
    expect(await seqs(5, 2)).toEqual([])
    expect(await seqs(99, 2)).toEqual([])
  })

  test('text is read as what was appended, page by page', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    await database.events.append(
      appendOf(
        record,
        [1, 2, 3].map((seq) => textMessage(seq, `"ä" ${seq}`)),
      ),
    )
    const read = await database.events.readText({ sessionId: record.id, after: 1, limit: 1 })
    expect(read.map(({ seq, json }) => [seq, JSON.parse(json)])).toEqual([[2, textMessage(2, '"ä" 2')]])
    expect(await database.events.readText({ sessionId: freshId('ses'), ...all })).toEqual([])
  })

  test('an unknown session has no events', async () => {
    await using database = await open()
    expect(await database.events.read({ sessionId: freshId('ses'), ...all })).toEqual([])
  })

  test('the record is stored with its events', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    const changes = {
      name: 'Renamed',
      model: 'opus',
      permissionMode: 'plan' as const,
      source: { generation: 3, offset: 5_000_000_000 },
      updatedAt: record.updatedAt + 1,
      state: sessionState({ status: 'running', generation: 3, process: 'ready', costUsd: 0.1 }),
    }
    const append = appendOf(record, [textMessage(1)], changes)
    await database.events.append(append)
    expect(await database.sessions.get(record.id)).toEqual(append.record)
  })

  test('an append without events stores the record alone', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    await database.events.append(appendOf(record, [], { name: 'Only the name' }))
    expect(await database.sessions.get(record.id)).toEqual({ ...record, name: 'Only the name' })
    expect(await database.events.read({ sessionId: record.id, ...all })).toEqual([])
  })

  test('an append is told as written before it resolves, and only if it was', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    const told: string[] = []
    const append = appendOf(record, [textMessage(1)])
    await database.events.append(append, () => told.push('written')).then(() => told.push('stored'))
    expect(told).toEqual(['written', 'stored'])
    await expect(database.events.append(append, () => told.push('again'))).rejects.toMatchObject({ code: 'internal' })
    expect(told).toEqual(['written', 'stored'])
  })

  test('what the caller changes after append has been called is not stored', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    const event = textMessage(1, 'as given')
    const append = appendOf(record, [event], { state: sessionState({ reason: 'as given' }) })
    const appended = database.events.append(append)
    event.text = 'changed'
    append.record.state.reason = 'changed'
    append.record.userId = 'changed'
    await appended
    expect(await database.events.read({ sessionId: record.id, ...all })).toEqual([textMessage(1, 'as given')])
    expect(await database.sessions.get(record.id)).toMatchObject({
      userId: record.userId,
      state: { reason: 'as given' },
    })
  })

  test('of concurrent appends at the same place exactly one wins', async () => {
    await using database = await open()
    const record = sessionRecord()
    await database.sessions.create(record)
    const attempts = Array.from({ length: 8 }, (_, index) =>
      database.events.append(appendOf(record, [textMessage(1, `writer ${index}`)], { name: `writer ${index}` })),
    )
    const results = await Promise.allSettled(attempts)
    const winner = results.findIndex(({ status }) => status === 'fulfilled')
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'internal' })
    expect(await database.events.read({ sessionId: record.id, ...all })).toEqual([textMessage(1, `writer ${winner}`)])
    expect(await database.sessions.get(record.id)).toMatchObject({ name: `writer ${winner}`, lastSeq: 1 })
  })

  test('a refused append changes nothing, and takes nothing of its neighbours with it', async () => {
    await using database = await open()
    const [good, bad, later] = [sessionRecord(), sessionRecord(), sessionRecord()]
    for (const record of [good, bad, later]) await database.sessions.create(record)
    await database.events.append(appendOf(bad, [promptMessage(1, turn)]))
    const stored = { ...bad, lastSeq: 1 }

    const approvalId = freshId('apr')
    const refused = appendOf(stored, [approvalMessage(2, approvalId, 'pending'), promptMessage(3, turn)], {
      name: 'never',
    })
    const results = await Promise.allSettled([
      database.events.append(appendOf(good, [textMessage(1)])),
      database.events.append(refused),
      database.events.append(appendOf(later, [textMessage(1)])),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await database.sessions.get(bad.id)).toEqual(stored)
    expect(await database.events.read({ sessionId: bad.id, ...all })).toEqual([promptMessage(1, turn)])
    expect(await database.approvals.get(approvalId)).toBeUndefined()
    for (const record of [good, later]) {
      expect(await database.events.read({ sessionId: record.id, ...all })).toEqual([textMessage(1)])
    }
    await database.events.append(appendOf(stored, [promptMessage(2, otherTurn)]))
    expect(await database.sessions.get(bad.id)).toMatchObject({ lastSeq: 2 })
  })

  const record = sessionRecord({ lastSeq: 0 })
  test.each([
    [
      'to a session that is not there',
      { ...appendOf(record, [textMessage(1)]), record: { ...sessionRecord(), lastSeq: 1 } },
    ],
    ['with an older expectation', { ...appendOf(record, [textMessage(6)]), expectedSeq: 5 }],
    ['with a gap', appendOf(record, [textMessage(2)])],
    ['with a gap inside', appendOf(record, [textMessage(1), textMessage(3)])],
    ['with the same seq twice', appendOf(record, [textMessage(1), textMessage(1)])],
    [
      'with a record that counts otherwise',
      { ...appendOf(record, [textMessage(1)]), record: { ...record, lastSeq: 2 } },
    ],
    ['that gives the session to another user', appendOf(record, [textMessage(1)], { userId: freshId('usr') })],
    [
      'that moves the session to another workspace',
      appendOf(record, [textMessage(1)], { workspaceId: freshId('wsp') }),
    ],
    ['with a second prompt of one turn', appendOf(record, [promptMessage(1, turn), promptMessage(2, turn)])],
    ['with a second end of one turn', appendOf(record, [completeMessage(1, turn), completeMessage(2, turn)])],
  ])('an append %s is refused', async (_, append) => {
    await using database = await open()
    await database.sessions.create(record)
    await expect(database.events.append(append)).rejects.toMatchObject({ code: 'internal' })
    expect(await database.sessions.get(record.id)).toEqual(record)
    expect(await database.events.read({ sessionId: record.id, ...all })).toEqual([])
  })

  test('appends that wait for one another go in the order in which they were given', async () => {
    await using database = await open()
    const first = sessionRecord()
    await database.sessions.create(first)
    const appends = Array.from({ length: 50 }, (_, index) =>
      appendOf({ ...first, lastSeq: index }, [textMessage(index + 1)]),
    )
    await Promise.all(appends.map((append) => database.events.append(append)))
    expect((await database.events.read({ sessionId: first.id, ...all })).map(({ seq }) => seq)).toEqual(
      appends.map((_, index) => index + 1),
    )
  })

  test('prompt and end of a turn are found by its id, within their session', async () => {
    await using database = await open()
    const [mine, other] = [sessionRecord(), sessionRecord()]
    for (const each of [mine, other]) await database.sessions.create(each)
    await database.events.append(
      appendOf(mine, [promptMessage(1, turn), promptMessage(2, otherTurn), completeMessage(3, turn)]),
    )
    await database.events.append(appendOf(other, [promptMessage(1, turn)]))
    expect(await database.events.findPrompt(mine.id, turn)).toEqual(promptMessage(1, turn))
    expect(await database.events.findPrompt(mine.id, otherTurn)).toEqual(promptMessage(2, otherTurn))
    expect(await database.events.findComplete(mine.id, turn)).toEqual(completeMessage(3, turn))
    expect(await database.events.findComplete(mine.id, otherTurn)).toBeUndefined()
    expect(await database.events.findComplete(other.id, turn)).toBeUndefined()
    expect(await database.events.findPrompt(freshId('ses'), turn)).toBeUndefined()
  })

  test('any sequence of appends reads back gapless and in order, in pages of any size', async () => {
    await using database = await open()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 5 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 7 }),
        async (batches, page) => {
          let current = sessionRecord()
          await database.sessions.create(current)
          const written: Message[] = []
          for (const texts of batches) {
            const append = appendOf(
              current,
              texts.map((text, index) => textMessage(current.lastSeq + 1 + index, text)),
            )
            await database.events.append(append)
            written.push(...append.events)
            current = append.record
          }
          const found: Message[] = []
          for (let after = 0; ; after = found.length) {
            const events = await database.events.read({ sessionId: current.id, after, limit: page })
            found.push(...events)
            if (events.length < page) break
          }
          expect(found).toEqual(written)
          expect(found.map(({ seq }) => seq)).toEqual(found.map((_, index) => index + 1))
          expect(await database.sessions.get(current.id)).toEqual(current)
        },
      ),
      { numRuns: 30 },
    )
  })
}
