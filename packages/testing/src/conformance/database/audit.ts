import { emptyAudit, type AuditEntry } from '@aicm/protocol'
import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { auditEntry, idOf } from '../records.ts'

const headOf = ({ seq, hash }: AuditEntry) => ({ seq, hash })

export const auditTests = (open: OpenDatabase): void => {
  const opened = async (entries: AuditEntry[]) => {
    const database = await open()
    await database.audit.append({ after: emptyAudit, entries })
    return database
  }

  test('entries are read back exactly, in their order, and the last one is the head', async () => {
    const entries = [
      auditEntry(1, {
        userId: null,
        username: 'Žofie "x"',
        target: null,
        code: 'invalid_credentials',
        result: 'refused',
      }),
      auditEntry(2, { detail: { nested: { list: [1, 'a', null, true] }, text: 'Two\nlines' } }),
    ]
    await using database = await open()
    expect(await database.audit.readHead()).toEqual(emptyAudit)
    const order: string[] = []
    await database.audit
      .append({ after: emptyAudit, entries }, () => order.push('written'))
      .then(() => order.push('kept'))
    expect(order).toEqual(['written', 'kept'])
    expect(await database.audit.read({ limit: 10 })).toEqual(entries)
    expect(await database.audit.readHead()).toEqual(headOf(auditEntry(2)))
  })

  test('what does not follow the head is refused, and nothing of it is stored', async () => {
    const first = auditEntry(1)
    await using database = await opened([first])
    for (const [after, entries] of [
      [emptyAudit, [auditEntry(1)]],
      [{ ...headOf(first), hash: 'another' }, [auditEntry(2)]],
      [headOf(first), [auditEntry(3)]],
      [headOf(first), [auditEntry(2), auditEntry(4)]],
      [headOf(first), [auditEntry(2), auditEntry(2)]],
    ] as const)
      await expect(database.audit.append({ after, entries: [...entries] })).rejects.toMatchObject({ code: 'internal' })
    expect(await database.audit.read({ limit: 10 })).toEqual([first])
    await database.audit.append({ after: headOf(first), entries: [auditEntry(2)] })
    expect((await database.audit.readHead()).seq).toBe(2)
  })

  test('of two writers at the same place only one succeeds', async () => {
    await using database = await open()
    const appends = await Promise.allSettled(
      Array.from({ length: 5 }, () => database.audit.append({ after: emptyAudit, entries: [auditEntry(1)] })),
    )
    expect(appends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('a page begins behind its cursor, in either direction', async () => {
    await using database = await opened(Array.from({ length: 9 }, (_, at) => auditEntry(at + 1)))
    const seqs = async (filter: Parameters<typeof database.audit.read>[0]) =>
      (await database.audit.read(filter)).map(({ seq }) => seq)
    expect(await seqs({ after: 4, limit: 3 })).toEqual([5, 6, 7])
    expect(await seqs({ after: 9, limit: 3 })).toEqual([])
    expect(await seqs({ order: 'newest', limit: 2 })).toEqual([9, 8])
    expect(await seqs({ order: 'newest', before: 3, limit: 5 })).toEqual([2, 1])
    expect(await seqs({ after: 2, before: 5, limit: 5 })).toEqual([3, 4])
  })

  test('they are picked by who, what, on what, result and time, and by several of these at once', async () => {
    const time = (minute: number) => `2026-03-01T12:0${minute}:00.000Z`
    await using database = await opened([
      auditEntry(1, {
        userId: idOf('usr', 1),
        username: 'Ada',
        action: 'sessions.create',
        target: 's1',
        time: time(1),
      }),
      auditEntry(2, {
        userId: idOf('usr', 2),
        username: 'Bob',
        action: 'sessions.create',
        target: 's2',
        time: time(2),
      }),
      auditEntry(3, {
        userId: idOf('usr', 1),
        username: 'Ada',
        action: 'sessions.delete',
        target: 's1',
        time: time(3),
      }),
      auditEntry(4, { userId: null, username: 'eve', action: 'auth.login', result: 'refused', time: time(4) }),
    ])
    const seqs = async (filter: Omit<Parameters<typeof database.audit.read>[0], 'limit'>) =>
      (await database.audit.read({ ...filter, limit: 10 })).map(({ seq }) => seq)
    expect(await seqs({ userId: idOf('usr', 1) })).toEqual([1, 3])
    expect(await seqs({ username: 'eve' })).toEqual([4])
    expect(await seqs({ action: 'sessions.create' })).toEqual([1, 2])
    expect(await seqs({ target: 's1', action: 'sessions.delete' })).toEqual([3])
    expect(await seqs({ result: 'refused' })).toEqual([4])
    expect(await seqs({ from: time(2), to: time(3) })).toEqual([2, 3])
    expect(await seqs({ userId: idOf('usr', 1), from: time(2), order: 'newest' })).toEqual([3])
  })
}
