import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { freshId, idOf, projectRecord } from '../records.ts'

export const projectTests = (open: OpenDatabase): void => {
  test('a project is read back exactly', async () => {
    await using database = await open()
    const record = projectRecord({ description: 'Two\nlines', workspaceIds: [idOf('wsp', 2), idOf('wsp', 1)] })
    await database.projects.create(record)
    expect(await database.projects.get(record.id)).toEqual(record)
    expect(await database.projects.get(freshId('prj'))).toBeUndefined()
  })

  test('a user has each name once, also after a change', async () => {
    await using database = await open()
    const [shop, blog] = [projectRecord({ name: 'Shop' }), projectRecord({ name: 'Blog' })]
    for (const record of [shop, blog]) await database.projects.create(record)
    await expect(database.projects.create(projectRecord({ name: 'Shop' }))).rejects.toMatchObject({
      code: 'invalid_request',
    })
    await expect(database.projects.update(blog.id, { name: 'Shop', updatedAt: 1 })).rejects.toMatchObject({
      code: 'invalid_request',
    })
    expect(await database.projects.get(blog.id)).toEqual(blog)
    await database.projects.create(projectRecord({ name: 'Shop', userId: idOf('usr', 2) }))
  })

  test('an update changes what it names and nothing else', async () => {
    await using database = await open()
    const record = projectRecord()
    await database.projects.create(record)
    await database.projects.update(record.id, { workspaceIds: [idOf('wsp', 1)], updatedAt: 5 })
    expect(await database.projects.get(record.id)).toEqual({ ...record, workspaceIds: [idOf('wsp', 1)], updatedAt: 5 })
    await database.projects.update(record.id, { name: record.name, description: 'New', updatedAt: 6 })
    expect(await database.projects.get(record.id)).toEqual({
      ...record,
      workspaceIds: [idOf('wsp', 1)],
      description: 'New',
      updatedAt: 6,
    })
  })

  test('they are listed newest first, until they are deleted', async () => {
    await using database = await open()
    for (const order of [2, 3, 1])
      await database.projects.create(projectRecord({ id: idOf('prj', order), name: `p${order}` }))
    await database.projects.delete(idOf('prj', 2))
    expect((await database.projects.list(idOf('usr', 1))).map(({ name }) => name)).toEqual(['p3', 'p1'])
    expect(await database.projects.list(idOf('usr', 2))).toEqual([])
  })
}
