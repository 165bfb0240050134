import { setImmediate } from 'node:timers/promises'
import type { AuditEntry } from '@aicm/protocol'
import { until } from '@aicm/testing/until'
import { expect, test } from 'vitest'
import { AppError } from '../lib/app-error.ts'
import type { Log } from '../lib/log.ts'
import type { AuditStore } from '../storage/audit-store.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { openMemoryKeyValue } from '../storage/drivers/memory/key-value.ts'
import { openAudit } from './audit.ts'
import { checkChain } from './check.ts'

/** An audit log whose storage can be made to fail before or after it has written; `lines` is what the server's log says. */
const opened = async () => {
  const store = openMemoryDatabase().audit
  const kv = openMemoryKeyValue()
  const lines: [fields: object, message: string][] = []
  const tell = (fields: object, message: string): void => void lines.push([fields, message])
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell, child: () => log }
  let failing: 'before' | 'after' | undefined
  let now = 1_767_225_600_000
  const failure = () => new AppError('storage_full', 'The disk is full.')
  const audit = await openAudit({
    store: {
      ...store,
      append: async (append, onWritten) => {
        await setImmediate()
        if (failing === 'before') throw failure()
        await store.append(append, onWritten)
        if (failing === 'after') throw failure()
      },
    },
    kv,
    clock: { now: () => now },
    log,
  })
  return {
    audit,
    store,
    kv,
    lines,
    fail: (how: typeof failing) => void (failing = how),
    wait: (ms: number) => void (now += ms),
    entries: (): Promise<AuditEntry[]> => store.read({ limit: 10_000 }),
    [Symbol.asyncDispose]: () => audit[Symbol.asyncDispose](),
  }
}

const isWhole = async (store: AuditStore): Promise<void> =>
  expect((await checkChain(store, { after: 0, limit: Infinity })).broken).toBeNull()

test('two hundred acts at once are written once each, in the order they came, without a gap', async () => {
  await using node = await opened()
  const targets = Array.from({ length: 200 }, (_, at) => `t${at}`)
  await Promise.all(targets.map((target) => node.audit.record({ action: 'sessions.create', target })))
  const entries = await node.entries()
  expect(entries.map(({ target }) => target)).toEqual(targets)
  expect(entries.map(({ seq }) => seq)).toEqual(targets.map((_, at) => at + 1))
  await isWhole(node.store)
})

test('text that a database would not give back as it was is made harmless before it is hashed', async () => {
  await using node = await opened()
  await node.audit.record({
    action: 'auth.login',
    username: 'a\u0000b\ud800',
    target: 'x'.repeat(5000),
    detail: { surrogate: '\udfff', nothing: undefined, ['__proto__']: 1 },
  })
  await node.audit.record({ action: 'sessions.create', detail: { long: 'x'.repeat(10_000) } })
  expect(await node.entries()).toMatchObject([
    { username: 'a b\ufffd', target: 'x'.repeat(200), detail: { surrogate: '\udfff' } },
    { detail: { omitted: 10_011 } },
  ])
  await isWhole(node.store)
})

test.each(['before', 'after'] as const)(
  'while the storage fails (%s writing) nobody is held up, and what waited is written once when it works again',
  async (how) => {
    await using node = await opened()
    await node.audit.record({ action: 'sessions.create', target: 'first' })
    node.fail(how)
    await Promise.all(['a', 'b', 'c'].map((target) => node.audit.record({ action: 'sessions.create', target })))
    await node.audit.record({ action: 'sessions.delete', target: 'd' })
    expect(node.lines).toContainEqual([{ err: expect.any(AppError) }, expect.stringContaining('cannot be written')])
    expect(node.lines).toContainEqual([{ audit: expect.objectContaining({ target: 'd' }) }, expect.any(String)])
    node.fail(undefined)
    const targets = ['first', 'a', 'b', 'c', 'd']
    await until('it is written', async () => (await node.entries()).length >= targets.length)
    expect((await node.entries()).map(({ target }) => target)).toEqual(targets)
    await isWhole(node.store)
  },
)

test('acts that there was no room for are counted, and the count is an entry', async () => {
  await using node = await opened()
  node.fail('before')
  const acts = Array.from({ length: 10_500 }, (_, at) => `t${at}`)
  await Promise.all(acts.map((target) => node.audit.record({ action: 'sessions.create', target })))
  node.fail(undefined)
  const lost = await until(
    'the count is there',
    async () => (await node.store.read({ action: 'audit.lost', limit: 1 }))[0],
  )
  const kept = await node.store.read({ action: 'sessions.create', limit: 20_000 })
  expect(kept.length + Number(lost.detail['acts'])).toBe(acts.length)
  await isWhole(node.store)
})

test('a log that somebody else has written to meanwhile goes on behind that, and says so', async () => {
  await using node = await opened()
  await node.audit.record({ action: 'sessions.create', target: 'mine' })
  const [mine] = await node.entries()
  await node.store.append({ after: mine!, entries: [{ ...mine!, seq: 2, target: 'foreign', hash: 'foreign' }] })
  await node.audit.record({ action: 'sessions.create', target: 'mine again' })
  await until('it is written', async () => (await node.entries()).length === 4)
  expect((await node.entries()).map(({ action, target }) => [action, target])).toEqual([
    ['sessions.create', 'mine'],
    ['sessions.create', 'foreign'],
    ['audit.gap', null],
    ['sessions.create', 'mine again'],
  ])
})

test('the end is noted in the key-value store and in the log of the server', async () => {
  const node = await opened()
  await node.audit.record({ action: 'sessions.create' })
  await node[Symbol.asyncDispose]()
  const head = await node.store.readHead()
  expect(await node.kv.get('audit/head')).toEqual(head)
  expect(await node.audit.anchor()).toEqual(head)
  expect(node.lines).toContainEqual([{ auditHead: `1:${head.hash}` }, 'the audit log ends here'])
})

test('a flood of refusals is three entries and one that counts the rest', async () => {
  const node = await opened()
  const refused = { action: 'auth.login', result: 'refused', code: 'invalid_credentials', address: '10.0.0.1' } as const
  for (let at = 0; at < 5000; at++) await node.audit.record({ ...refused, username: `name ${at}` })
  await node.audit.record({ action: 'sessions.create' })
  await node[Symbol.asyncDispose]()
  expect(await node.entries()).toMatchObject([
    { username: 'name 0', result: 'refused' },
    { username: 'name 1' },
    { username: 'name 2' },
    { action: 'sessions.create' },
    {
      ...refused,
      username: null,
      detail: { repeated: 4997, from: '2026-01-01T00:00:00.000Z', until: '2026-01-01T00:01:00.000Z' },
    },
  ])
})
