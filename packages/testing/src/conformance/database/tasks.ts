import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { freshId, idOf, taskRecord } from '../records.ts'

export const taskTests = (open: OpenDatabase): void => {
  test('a task is read back exactly', async () => {
    await using database = await open()
    const record = taskRecord({ projectId: idOf('prj', 1), workspaceId: idOf('wsp', 1), prompt: 'Do\nit' })
    await database.tasks.create(record)
    expect(await database.tasks.get(record.id)).toEqual(record)
    expect(await database.tasks.get(freshId('tsk'))).toBeUndefined()
  })

  test('they are listed oldest first, by user and status, up to a limit', async () => {
    await using database = await open()
    for (const order of [2, 4, 1, 3]) {
      await database.tasks.create(taskRecord({ id: idOf('tsk', order), status: order === 4 ? 'done' : 'pending' }))
    }
    await database.tasks.create(taskRecord({ id: idOf('tsk', 5), userId: idOf('usr', 2) }))
    const userId = idOf('usr', 1)
    const orders = async (filter: { status?: 'pending' | 'done'; limit: number }) =>
      (await database.tasks.list({ userId, ...filter })).map(({ id }) => Number(id.slice(4)))
    expect(await orders({ limit: 10 })).toEqual([1, 2, 3, 4])
    expect(await orders({ status: 'pending', limit: 2 })).toEqual([1, 2])
    expect(await orders({ status: 'done', limit: 2 })).toEqual([4])
  })

  test('of concurrent moves from one status exactly one wins', async () => {
    await using database = await open()
    const record = taskRecord()
    await database.tasks.create(record)
    const moves = await Promise.all(
      [1, 2, 3].map((order) =>
        database.tasks.move(record.id, 'pending', {
          status: 'running',
          sessionId: idOf('ses', order),
          updatedAt: order,
        }),
      ),
    )
    const winner = moves.indexOf(true) + 1
    expect(moves.filter(Boolean)).toHaveLength(1)
    expect(await database.tasks.get(record.id)).toEqual({
      ...record,
      status: 'running',
      sessionId: idOf('ses', winner),
      updatedAt: winner,
    })
    expect(await database.tasks.move(freshId('tsk'), 'pending', { status: 'running', updatedAt: 1 })).toBe(false)
  })

  test('a deleted task is gone', async () => {
    await using database = await open()
    const record = taskRecord()
    await database.tasks.create(record)
    await database.tasks.delete(record.id)
    expect(await database.tasks.get(record.id)).toBeUndefined()
  })
}
