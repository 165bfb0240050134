import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scriptedApi } from '@aicm/broker'
import { routes, type BudgetSetting, type Credential, type Output } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { rowsIn } from './lib/table.ts'
import { serve } from './lib/serve.ts'

const test = requires('claude', 'linux')
const api = scriptedApi()
let upstream: Awaited<ReturnType<typeof serve>>
let home: string
let server: TestServer
let tokens: { admin: string; ada: string }

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'aicm-spending-'))
  upstream = await serve(api.handler)
  server = await startTestServer({
    // Where subscriptions are renewed; nobody is asked yet.
    args: ['--oauth-token-url', `${upstream.url}/token`, '--oauth-client-id', 'test'],
    env: { ANTHROPIC_API_KEY: 'sk-shared-0001', ANTHROPIC_BASE_URL: upstream.url },
  })
  tokens = { admin: await server.token(), ada: await server.addUser('ada') }
})
afterAll(async () => {
  await server?.stop()
  await upstream?.[Symbol.asyncDispose]()
  rmSync(home, { recursive: true, force: true })
})

const aicm = (who: 'admin' | 'ada', args: string[], input?: string) =>
  startAicm(server, home, args, { env: { AICM_TOKEN: tokens[who] }, ...(input === undefined ? {} : { input }) }).ended
const answerOf = async <T>(who: 'admin' | 'ada', args: string[], input?: string): Promise<T> => {
  const { code, stdout, stderr } = await aicm(who, ['--json', ...args], input)
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as T
}
const run = (who: 'admin' | 'ada', prompt: string) => aicm(who, ['run', '-m', 'claude-opus-4-5-20251101', prompt])

describe('aicm credentials', () => {
  const secret = 'sk-adas-own-key-wxyz'

  test('one that is added from stdin serves its owner at once, is listed without its secret, and removed', async () => {
    expect(await aicm('ada', ['credentials'])).toMatchObject({
      ...{ code: 0, stdout: '', stderr: expect.stringContaining('aicm credentials add') },
    })
    const added = await aicm('ada', ['credentials', 'add', '-n', 'mine'], `${secret}\n`)
    expect(added).toMatchObject({ code: 0, stderr: '' })
    const id = /^(\S+) \(api-key, …wxyz\) serves you\.\n$/.exec(added.stdout)?.[1] ?? ''
    expect(rowsIn((await aicm('ada', ['credentials'])).stdout)).toMatchObject({
      mine: [id, 'api-key', '…wxyz', 'you', 'ready', 'never'],
    })

    api.calls.length = 0
    expect(await run('ada', '@text(paid by ada)')).toMatchObject({ code: 0 })
    expect(new Set(api.calls.map(({ headers }) => headers.apiKey))).toEqual(new Set([secret]))
    const listed = await aicm('ada', ['credentials', 'ls'])
    expect(rowsIn(listed.stdout).mine?.at(-1)).toMatch(/ ago$/)
    expect(added.stdout + listed.stdout).not.toContain(secret)

    // Another's is answered like one that does not exist, an administrator too.
    expect(await aicm('admin', ['credentials', 'rm', id])).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('credential_not_found') },
    })
    expect(await aicm('ada', ['credentials', 'rm', id])).toMatchObject({ code: 0, stdout: `Removed ${id}.\n` })
    expect(await answerOf('ada', ['credentials'])).toEqual([])
  })

  test('shared ones are for administrators, and the one of the environment is there', async () => {
    expect(await aicm('ada', ['credentials', 'add', '--shared'], secret)).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('forbidden') },
    })
    const { id, ...made } = await answerOf<Credential>('admin', ['credentials', 'add', '--shared', '-n', 'all'], secret)
    expect(made).toMatchObject({ name: 'all', shared: true, kind: 'api-key' })
    expect(await answerOf<Credential[]>('admin', ['credentials'])).toMatchObject([{ id: 'environment' }, { id }])
    expect(rowsIn((await aicm('admin', ['credentials'])).stdout).all?.slice(0, 4)).toEqual([
      ...[id, 'api-key', '…wxyz', 'everybody'],
    ])
    expect(await answerOf('admin', ['credentials', 'rm', id])).toEqual({ deleted: id })
  })

  test('what is no secret is refused, and the secret of a subscription is its refresh token', async () => {
    for (const [args, input] of [
      [[], ''],
      [[], '\n'],
      [[], 'two words'],
      [['-k', 'password'], secret],
    ] as const)
      expect(await aicm('ada', ['credentials', 'add', ...args], input)).toMatchObject({ code: 2, stdout: '' })
    const { id, kind } = await answerOf<Credential>('ada', ['credentials', 'add', '-k', 'oauth'], 'refresh-token-1')
    expect(kind).toBe('oauth')
    expect(await aicm('ada', ['credentials', 'rm', id])).toMatchObject({ code: 0 })
  })
})

describe('aicm usage', () => {
  const head = ['CALLS', 'INPUT', 'OUTPUT', 'CACHE READ', 'CACHE WRITE', 'USD']
  type Usage = Output<typeof routes.usage.usage>

  test('it sums by day, model, session and user what the server has counted, with a total', async () => {
    expect(await run('ada', '@tokens(300)')).toMatchObject({ code: 0 })
    const { total, from, to } = await answerOf<Usage>('ada', ['usage'])
    expect(total.outputTokens).toBeGreaterThanOrEqual(300)
    const cells = [total.calls, total.inputTokens, total.outputTokens, total.cacheReadTokens, total.cacheWriteTokens]
    const shown = [...cells.map(String), total.costUsd.toFixed(4)]
    expect(total.costUsd).toBeGreaterThan(0)
    for (const by of ['day', 'model', 'session', 'user']) {
      const rows = rowsIn((await aicm('ada', ['usage', '--by', by])).stdout)
      expect(rows[by.toUpperCase()]).toEqual(head)
      expect(rows[`${from} to ${to}`]).toEqual(shown)
      const groups = Object.entries(rows).slice(1, -1)
      expect(groups.length).toBeGreaterThan(0)
      expect(groups.reduce((sum, [, [calls]]) => sum + Number(calls), 0)).toBe(total.calls)
    }
  })

  test("days bound it, and everybody's is for who may see it", async () => {
    const none = await answerOf<Usage>('ada', ['usage', '--from', '2020-01-01', '--to', '2020-01-31'])
    expect(none).toMatchObject({ from: '2020-01-01', to: '2020-01-31', usage: [], total: { calls: 0 } })
    expect(await run('admin', '@text(mine)')).toMatchObject({ code: 0 })
    const own = await answerOf<Usage>('admin', ['usage', '--by', 'user'])
    const all = await answerOf<Usage>('admin', ['usage', '--by', 'user', '--all'])
    expect([own.usage.length, all.usage.length]).toEqual([1, 2])
    const named = rowsIn((await aicm('admin', ['usage', '--by', 'user', '--all'])).stdout)
    expect(Object.keys(named)).toEqual(expect.arrayContaining(['admin', 'ada']))
    expect(await aicm('ada', ['usage', '--all'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('forbidden') },
    })
    for (const args of [
      ['--from', 'yesterday'],
      ['--by', 'colour'],
    ])
      expect(await aicm('ada', ['usage', ...args])).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('aicm budgets', () => {
  const budgetOf = async (name: string): Promise<string[] | undefined> =>
    rowsIn((await aicm('ada', ['budgets'])).stdout)[name]

  test('an administrator sets one, its user sees it and what is spent, and is stopped by it', async () => {
    const { id } = await (await server.client()).call(routes.users.list, {}).then(({ users }) => {
      const found = users.find(({ username }) => username === 'ada')
      if (found === undefined) throw new Error('there is no ada')
      return found
    })
    expect(await run('ada', '@tokens(100)')).toMatchObject({ code: 0 })
    const set = await aicm('admin', ['budgets', 'set', id, '--day', '0.5usd,7tokens', '--month', '100'])
    expect(set).toMatchObject({ code: 0 })
    expect(rowsIn(set.stdout)[id]).toEqual(['$0.5, 7 tokens', '$100'])
    const day = await budgetOf('yours, a day')
    expect(day).toEqual([
      ...['$0.5, 7 tokens', expect.stringMatching(/^\$0\.\d{4}, [1-9]\d* tokens$/)],
      expect.stringMatching(/T00:00:00/),
    ])
    expect(await budgetOf('yours, a month')).toMatchObject({ 0: '$100' })
    // What is set for others is an administrator's to know.
    expect((await aicm('ada', ['budgets'])).stdout).not.toContain(id)
    expect(rowsIn((await aicm('admin', ['budgets'])).stdout).ada).toEqual(['$0.5, 7 tokens', '$100'])
    expect(await run('ada', '@text(too much)')).toMatchObject({ code: 1 })

    // What is left out stays, and a name is as good as an id.
    expect(await answerOf<BudgetSetting>('admin', ['budgets', 'set', 'Ada', '--day', 'none'])).toEqual({
      ...{ of: id, day: null, month: { usd: 100 } },
    })
    expect(await run('ada', '@text(again)')).toMatchObject({ code: 0 })
  })

  test('there is one of everybody and one of the server', async () => {
    await answerOf('admin', ['budgets', 'set', 'everybody', '--day', '1000000000tokens'])
    await answerOf('admin', ['budgets', 'set', 'server', '--month', '12.5usd'])
    expect((await budgetOf('yours, a day'))?.[0]).toBe('1000000000 tokens')
    expect((await budgetOf("the server's, a month"))?.[0]).toBe('$12.5')
  })

  test('who may not set one does not, and what is none is refused', async () => {
    expect(await aicm('ada', ['budgets', 'set', 'everybody', '--day', 'none'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('forbidden') },
    })
    for (const args of [
      ['everybody'],
      ['everybody', '--day', 'much'],
      ['everybody', '--day', '5usd,'],
      ['everybody', '--day', '-5usd'],
      ['everybody', '--day', '1.5tokens'],
    ])
      expect(await aicm('admin', ['budgets', 'set', ...args])).toMatchObject({ code: 2, stdout: '' })
    expect(await aicm('admin', ['budgets', 'set', 'nobody', '--day', '5usd'])).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('aicm users ls') },
    })
    expect((await budgetOf('yours, a day'))?.[0]).toBe('1000000000 tokens')
  })
})
