import { expect, test } from 'vitest'
import type { OpenDatabase } from '../database.ts'
import { freshId, idOf, workspaceRecord } from '../records.ts'

const range = { first: 5000, last: 5003 }

export const confinementTests = (open: OpenDatabase): void => {
  test("a user's limits are kept as they were last set, whether or not they have a uid", async () => {
    await using database = await open()
    const { confinement } = database
    const [first, second] = [freshId('usr'), freshId('usr')]
    expect(await confinement.getLimits(first)).toBeUndefined()
    await confinement.setLimits(first, { memory: 1, cpus: 0.5, pids: null })
    await confinement.giveUid(first, range)
    await confinement.giveUid(second, range)
    expect(await confinement.getLimits(first)).toEqual({ memory: 1, cpus: 0.5, pids: null })
    expect(await confinement.getLimits(second)).toBeUndefined()
    await confinement.setLimits(first, {})
    expect(await confinement.getLimits(first)).toEqual({})
    expect(await confinement.getUid(first)).toBe(5000)
  })

  test('what is set for a workspace is kept as it was last set', async () => {
    await using database = await open()
    const { confinement } = database
    const record = workspaceRecord()
    await database.workspaces.create(record)
    expect(await confinement.getWorkspace(record.id)).toBeUndefined()
    const some = { readOnlyMounts: ['/opt'], allowedTools: ['Bash(git log:*)'], disallowedTools: [] }
    for (const given of [some, { ...some, disallowedTools: ['WebFetch'] }]) {
      await confinement.setWorkspace(record.id, given)
      expect(await confinement.getWorkspace(record.id)).toEqual(given)
    }
    await database.workspaces.delete(record.id)
  })

  test('each user is given a uid of their own, and keeps it', async () => {
    await using database = await open()
    const { confinement } = database
    expect(await confinement.getUid(idOf('usr', 1))).toBeUndefined()
    const given = await Promise.all([1, 2, 1, 3].map((user) => confinement.giveUid(idOf('usr', user), range)))
    expect(given[2]).toBe(given[0])
    expect(given.toSorted()).toEqual([5000, 5000, 5001, 5002])
    expect(await confinement.getUid(idOf('usr', 3))).toBe(given[3])
    expect(await confinement.giveUid(idOf('usr', 3), { first: 9000, last: 9001 })).toBe(given[3])
  })

  test('a range that is used up is refused, and what is given starts where it is told to', async () => {
    await using database = await open()
    const { confinement } = database
    expect(await confinement.giveUid(idOf('usr', 1), { ...range, first: 5002 })).toBe(5002)
    expect(await confinement.giveUid(idOf('usr', 2), range)).toBe(5003)
    await expect(confinement.giveUid(idOf('usr', 3), range)).rejects.toMatchObject({ code: 'isolation_unavailable' })
    expect(await confinement.giveUid(idOf('usr', 4), { first: 9000, last: 9001 })).toBe(9000)
  })
}
