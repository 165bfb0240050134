import { appendOf, databaseConformance, sessionRecord, textMessage, workspaceRecord } from '@aicm/testing/conformance'
import { expect, test } from 'vitest'
import { AppError } from '../lib/app-error.ts'
import type { BreakerState } from '../lib/breaker.ts'
import { createStorageBreaker } from './breaker.ts'
import type { Database } from './database.ts'
import { openMemoryDatabase } from './drivers/memory/database.ts'

databaseConformance('memory behind a breaker', async () =>
  createStorageBreaker({ failures: 1, probeAfterMs: 1_000_000 }).guard(openMemoryDatabase()),
)

/** A database whose appends can be made to fail, and that counts how often it is asked. */
const failing = () => {
  const memory = openMemoryDatabase()
  const asked = { appends: 0 }
  const state: { error: AppError | undefined } = { error: undefined }
  const database: Database = {
    ...memory,
    events: {
      ...memory.events,
      append: async (append, onWritten) => {
        asked.appends++
        if (state.error !== undefined) throw state.error
        await memory.events.append(append, onWritten)
      },
    },
  }
  return { database, asked, state }
}

const full = () => new AppError('storage_full', 'The disk is full.')

test('after some failures in a row writes are refused at once with Retry-After, and reads go on', async () => {
  const { database, asked, state } = failing()
  const breaker = createStorageBreaker({ failures: 3, probeAfterMs: 5000 })
  const changes: BreakerState[] = []
  breaker.onChange((change) => changes.push(change))
  const guarded = breaker.guard(database)
  const record = sessionRecord()
  await guarded.sessions.create(record)
  state.error = full()
  const append = appendOf(record, [textMessage(1)])
  for (let attempt = 0; attempt < 3; attempt++)
    await expect(guarded.events.append(append)).rejects.toMatchObject({ code: 'storage_full' })
  expect([breaker.state(), breaker.reason()]).toEqual(['open', 'The disk is full.'])

  await expect(guarded.events.append(append)).rejects.toMatchObject({ code: 'storage_full', retryAfter: 5 })
  await expect(guarded.workspaces.create(workspaceRecord())).rejects.toMatchObject({ code: 'storage_full' })
  expect(asked.appends).toBe(3)
  expect(await guarded.sessions.get(record.id)).toEqual(record)
  expect(await guarded.workspaces.list(record.userId)).toEqual([])
  expect(changes).toEqual(['open'])
})

test('after a while one write is let through: it closes the breaker, or opens it again', async () => {
  const { database, state } = failing()
  const breaker = createStorageBreaker({ failures: 1, probeAfterMs: 1 })
  const changes: BreakerState[] = []
  breaker.onChange((change) => changes.push(change))
  const guarded = breaker.guard(database)
  const record = sessionRecord()
  await guarded.sessions.create(record)
  const append = appendOf(record, [textMessage(1)])
  state.error = full()
  await expect(guarded.events.append(append)).rejects.toThrow()
  const tried = async (): Promise<BreakerState[]> => {
    await guarded.events.append(append).catch(() => undefined)
    return changes.slice(0, 3)
  }
  await expect.poll(tried).toEqual(['open', 'half-open', 'open'])
  state.error = undefined
  await expect.poll(async () => (await tried(), breaker.state())).toBe('closed')
  expect(breaker.reason()).toBeUndefined()
  expect(await guarded.events.read({ sessionId: record.id, after: 0, limit: 5 })).toEqual([textMessage(1)])
})

test('a refusal that is no failure of the storage opens nothing, and a success forgets earlier failures', async () => {
  const { database, state } = failing()
  const breaker = createStorageBreaker({ failures: 2, probeAfterMs: 5000 })
  const guarded = breaker.guard(database)
  let record = sessionRecord()
  await guarded.sessions.create(record)
  for (let round = 0; round < 5; round++) {
    await expect(guarded.events.append(appendOf({ ...record, lastSeq: 99 }, []))).rejects.toMatchObject({
      code: 'internal',
    })
    state.error = full()
    await expect(guarded.events.append(appendOf(record, []))).rejects.toThrow()
    state.error = undefined
    const append = appendOf(record, [textMessage(record.lastSeq + 1)])
    await guarded.events.append(append)
    record = append.record
  }
  expect(breaker.state()).toBe('closed')
})
