import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { freshId, idOf, workspaceRecord } from '../records.ts'

export const workspaceTests = (open: OpenDatabase): void => {
  test('a workspace is read back exactly', async () => {
    await using database = await open()
    const record = workspaceRecord({
      source: 'git',
      gitUrl: 'https://example.org/a.git',
      status: 'failed',
      error: 'No such host.',
    })
    await database.workspaces.create(record)
    expect(await database.workspaces.get(record.id)).toEqual(record)
    expect(await database.workspaces.get(freshId('wsp'))).toBeUndefined()
  })

  test('a user has each name once; another user may have it too', async () => {
    await using database = await open()
    const record = workspaceRecord()
    await database.workspaces.create(record)
    await expect(database.workspaces.create(workspaceRecord())).rejects.toMatchObject({ code: 'workspace_exists' })
    await database.workspaces.create(workspaceRecord({ userId: idOf('usr', 2) }))
    expect(await database.workspaces.list(record.userId)).toEqual([record])
  })

  test('of concurrent creations with one name exactly one wins', async () => {
    await using database = await open()
    const results = await Promise.allSettled([1, 2, 3].map(() => database.workspaces.create(workspaceRecord())))
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  test('they are listed newest first', async () => {
    await using database = await open()
    for (const order of [2, 3, 1])
      await database.workspaces.create(workspaceRecord({ id: idOf('wsp', order), name: `w${order}` }))
    expect((await database.workspaces.list(idOf('usr', 1))).map(({ name }) => name)).toEqual(['w3', 'w2', 'w1'])
    expect(await database.workspaces.list(idOf('usr', 2))).toEqual([])
  })

  test('a clone that ends is no longer among those being cloned', async () => {
    await using database = await open()
    const [cloning, other] = [workspaceRecord({ status: 'cloning', name: 'a' }), workspaceRecord({ name: 'b' })]
    for (const record of [cloning, other]) await database.workspaces.create(record)
    expect(await database.workspaces.listCloning()).toEqual([cloning])
    await database.workspaces.update(cloning.id, { status: 'failed', error: 'Interrupted.' })
    expect(await database.workspaces.listCloning()).toEqual([])
    expect(await database.workspaces.get(cloning.id)).toEqual({ ...cloning, status: 'failed', error: 'Interrupted.' })
    expect(await database.workspaces.get(other.id)).toEqual(other)
  })

  test('a deleted workspace is gone, and its name is free', async () => {
    await using database = await open()
    const record = workspaceRecord()
    await database.workspaces.create(record)
    await database.workspaces.delete(record.id)
    expect(await database.workspaces.get(record.id)).toBeUndefined()
    await database.workspaces.create(workspaceRecord())
  })
}
