import { AicmError, type Call } from '@aicm/client'
import { expect, test } from 'vitest'
import { createOutbox, type Outbox } from './outbox.ts'

const memory = () => {
  const map = new Map<string, string>()
  return {
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
  }
}
const unreachable = new AicmError({ code: 'unreachable', message: 'Cannot reach the server.' })
const closed = new AicmError({ code: 'session_closed', message: 'Closed.', hint: 'Start a new one.', status: 409 })
const prompt = { id: 'uuid-1', sessionId: 'ses_1', content: [{ type: 'text' as const, text: 'hello' }] }

/** A server that answers with these errors in turn, then accepts. */
const setUp = (errors: Error[], storage = memory()) => {
  const sent: unknown[] = []
  const call = async (_: unknown, input: { body: unknown }) => {
    sent.push(input.body)
    const error = errors.shift()
    if (error !== undefined) throw error
    return { turnId: 'uuid-1', seq: 1 }
  }
  const outbox = createOutbox({ client: { call: call as Call }, storage, noteError: () => {}, delays: [0, 0] })
  return { outbox, sent, storage }
}
const until = (outbox: Outbox, fact: () => boolean) =>
  new Promise<void>((resolve) => {
    const look = () => fact() && resolve()
    outbox.subscribe(look)
    look()
  })

test('a prompt is shown as sending until the log has it', async () => {
  const { outbox, sent } = setUp([])
  outbox.send(prompt)
  expect(outbox.of('ses_1')).toEqual([{ ...prompt, failure: undefined }])
  expect(sent).toEqual([{ content: prompt.content, id: 'uuid-1' }])
  outbox.take('uuid-1')
  expect(outbox.of('ses_1')).toEqual([])
})

test('while the server cannot be reached the same prompt is sent again, then kept with its error', async () => {
  const { outbox, sent } = setUp([unreachable, unreachable, unreachable])
  outbox.send(prompt)
  await until(outbox, () => outbox.of('ses_1')[0]?.failure !== undefined)
  expect(sent).toHaveLength(3)
  expect(outbox.of('ses_1')[0]?.failure?.message).toBe('Cannot reach the server.')
  outbox.retry('uuid-1')
  expect(outbox.of('ses_1')[0]?.failure).toBeUndefined()
  expect(sent).toHaveLength(4)
  expect(new Set(sent.map((body) => JSON.stringify(body))).size).toBe(1)
})

test('a refusal is not sent again, and nothing of the prompt is lost', async () => {
  const { outbox, sent } = setUp([closed])
  outbox.send(prompt)
  await until(outbox, () => outbox.of('ses_1')[0]?.failure !== undefined)
  expect(sent).toHaveLength(1)
  expect(outbox.of('ses_1')[0]?.failure).toEqual({ message: 'Closed.', hint: 'Start a new one.' })
  expect(outbox.take('uuid-1')?.content).toEqual(prompt.content)
})

test('an unconfirmed prompt survives a reload and waits for the user', () => {
  const { outbox, storage } = setUp([])
  outbox.send(prompt)
  const reloaded = setUp([], storage)
  expect(reloaded.outbox.of('ses_1')[0]?.failure?.message).toContain('reloaded')
  expect(reloaded.sent).toEqual([])
})

test('a full storage keeps the prompt in memory', () => {
  const storage = memory()
  const full = {
    ...storage,
    setItem: () => {
      throw new Error('QuotaExceededError')
    },
  }
  const { outbox } = setUp([], full)
  outbox.send(prompt)
  expect(outbox.of('ses_1')).toHaveLength(1)
})
