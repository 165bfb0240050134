import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Client } from '@aicm/client'
import type { Message, StreamItem } from '@aicm/protocol'
import { isRunning, kill } from '@aicm/testing/processes'
import { seeded } from '@aicm/testing/random'
import { requires } from '@aicm/testing/requires'
import { allGone, startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import {
  collect,
  expectGapless,
  expectSame,
  firstItem,
  grownText,
  logOf,
  pendingApproval,
  storedText,
} from './lib/turns.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
})
afterAll(() => server?.stop())

const open = async () => {
  const { id, workspaceId } = await client.sessions.create()
  const { path } = await client.workspaces.get(workspaceId)
  return { id, session: client.session(id), file: (name: string): string => join(path, name) }
}

/** What claude has written down, in all its conversations. */
const transcriptsOf = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'users'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.jsonl'))
    .map((path) => readFileSync(join(dataDir, 'users', path), 'utf8'))

const claudeOf = async (id: string): Promise<number> => until('claude runs', () => server.sessionProcesses(id).claude)

/** Everything there once, in order, and every prompt answered by one `complete`. */
const expectWhole = (log: Message[]): void => {
  expectGapless(log)
  const turns = (type: Message['type']) => log.filter((message) => message.type === type).map(({ turnId }) => turnId)
  expect(turns('complete')).toEqual(turns('prompt'))
  const blocks = log.flatMap((message) => ('block' in message ? [message.block] : []))
  expect(new Set(blocks).size).toBe(blocks.length)
}

const hasGrownTo = (length: number) => (item: StreamItem) =>
  item.type === 'delta' && item.kind === 'text' && item.at + item.text.length >= length

// --- the server ---------------------------------------------------------------------------------------------------------

const random = seeded(20_261_122)
const instants = Array.from({ length: 6 }, () => Math.floor(random() * tokensText(200).length))

for (const instant of instants)
  test(`kill -9 of the server when ${instant} characters are shown: the turn goes on, a client that reconnects has all of it once`, async () => {
    const { id, session } = await open()
    const turn = session.execute('@tokens(200,10)')
    const items: StreamItem[] = []
    let killed: Promise<void> | undefined
    for await (const item of turn) {
      items.push(item)
      if (killed === undefined && (hasGrownTo(instant)(item) || item.type === 'text')) killed = server.restart()
    }
    await killed
    // What grew while there was no server, and ended before a new one was there, came whole.
    expectSame(tokensText(200).slice(0, grownText(items).length), grownText(items))
    expectSame(storedText(items), tokensText(200))
    expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })

    const log = await logOf(client, id)
    expectWhole(log)
    expectSame(storedText(log), tokensText(200))
    expect(log.filter(({ type }) => type === 'error')).toEqual([])
    expect((await session.info()).generation).toBe(1)
    await session.close()
  })

test('kill -9 of the server right behind a 202: the prompt is answered, and those queued behind it', async () => {
  const { id, session } = await open()
  const turns = ['@tokens(100,3)', '@text(two)', '@text(three)'].map((prompt) => session.execute(prompt))
  await Promise.all(turns.map(({ accepted }) => accepted))
  await server.restart()
  const ends = await Promise.all(turns.map((turn) => turn.complete()))
  expect(ends.map(({ text }) => text)).toEqual([tokensText(100), 'two', 'three'])
  expectWhole(await logOf(client, id))
})

test('kill -9 of the server while it starts again, several times: all is adopted in the end', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(200,10)')
  await collect(turn, hasGrownTo(100))
  for (let round = 0; round < 3; round += 1) {
    await server.kill9()
    const starting = server.restart()
    await until('it opens its database', () => server.children().length > 0)
    await server.kill9()
    await starting.catch(() => undefined)
  }
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(200) })
  expectWhole(await logOf(client, id))
})

test('what claude said while there was no server is in the log afterwards', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(120,2)')
  await collect(turn, hasGrownTo(20))
  const journal = join(server.dataDir, 'sessions', id, '1', 'stdout.ndjson')
  await server.kill9()
  await until('the turn has ended', () => readFileSync(journal, 'utf8').includes('"type":"result"'))
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(120) })
  const log = await logOf(client, id)
  expectWhole(log)
  expect(storedText(log)).toBe(tokensText(120))
})

test('SIGTERM of the server leaves its sessions running, and the next start adopts them', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(200,10)')
  await collect(turn, hasGrownTo(50))
  const claude = await claudeOf(id)
  expect(await server.terminate()).toBe(0)
  expect(isRunning(claude)).toBe(true)
  await server.restart()
  expect(server.sessionProcesses(id).claude).toBe(claude)
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(200) })
  expectWhole(await logOf(client, id))
})

test('a second server on the same folder refuses and says why; the first goes on', async () => {
  const { code, output } = await server.rival()
  expect(code).toBe(1)
  expect(output).toContain(server.dataDir)
  expect(output).toMatch(/another|in use|already/i)
  expect(output).not.toMatch(/\n\s+at /)
  const { session } = await open()
  expect(await session.execute('@text(still here)').complete()).toMatchObject({ text: 'still here' })
})

test('a session that was closed while the server was killed leaves no process behind', async () => {
  const { id, session } = await open()
  await session.execute('@text(a)').complete()
  const pids = server.sessionProcesses(id).all.map(({ pid }) => pid)
  const closing = session.close().catch(() => undefined)
  await until('it is closed', async () => (await session.info()).status === 'closed')
  await server.restart()
  await closing
  await allGone(pids)
  expect(await session.info()).toMatchObject({ status: 'closed', process: 'none' })
})

// --- claude -------------------------------------------------------------------------------------------------------------

/** After its process was killed: said, recovered, and the prompt answered once. */
const expectRecovered = async (id: string): Promise<Message[]> => {
  const log = await logOf(client, id)
  expectWhole(log)
  expect(log.some((message) => message.type === 'error' && message.code === 'process_crashed')).toBe(true)
  expect(log.filter((message) => message.type === 'status').map(({ status }) => status)).toEqual(
    expect.arrayContaining(['error', 'recovering', 'running', 'idle']),
  )
  const { status, generation } = await client.sessions.get(id)
  expect(status).toBe('idle')
  // A third, where claude had said that there is a conversation and died before it had written it.
  expect(generation).toBeOneOf([2, 3])
  return log
}

test('kill -9 of claude in the middle of its answer: the prompt is run again, and what was shown is kept', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(200,5)')
  const before = await collect(turn, hasGrownTo(200))
  kill(await claudeOf(id), 'SIGKILL')
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(200) })
  const log = await expectRecovered(id)
  const texts = log.filter((message) => message.type === 'text')
  expect(texts.map(({ partial }) => partial)).toEqual([true, undefined])
  expect(texts[0]?.text.startsWith(grownText(before))).toBe(true)
  expect(texts[1]?.text).toBe(tokensText(200))
  expect(log.find((message) => message.type === 'error')).toMatchObject({ message: expect.stringContaining('SIGKILL') })
  expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
})

test('kill -9 of claude before its first token', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(150,10)')
  await firstItem(session, (item) => item.type === 'metadata')
  kill(await claudeOf(id), 'SIGKILL')
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(150) })
  await expectRecovered(id)
})

test('kill -9 of claude before it is ready: the prompt is answered by the next one', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(20)')
  await turn.accepted
  kill(await claudeOf(id), 'SIGKILL')
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(20) })
  expectWhole(await logOf(client, id))
  expect(await session.info()).toMatchObject({ status: 'idle', generation: 2 })
})

test('kill -9 of claude while a tool runs: the tool dies with it, is not run again, and the user is told', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@bash(echo ran >> runs.txt; sleep 1000) @text(done)')
  await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
  await until('the tool runs', () => server.sessionProcesses(id).all.some(({ argv }) => argv[0] === 'sleep'))
  await until('it has written', () => readFileSync(file('runs.txt'), 'utf8') === 'ran\n')
  const pids = server.sessionProcesses(id).all.map(({ pid }) => pid)
  kill(await claudeOf(id), 'SIGKILL')
  await allGone(pids)
  const question = await until('the user is asked', async () =>
    (await client.approvals.list({ sessionId: id })).find(({ tool }) => tool === 'continue_turn'),
  )
  await client.approvals.answer(question.id, { decision: 'deny' })
  expect(await turn.complete()).toMatchObject({ result: 'error', reason: 'turn_cut_off' })
  const log = await expectRecovered(id)
  expect(
    log.some((message) => message.type === 'error' && message.code === 'turn_cut_off' && message.hint !== undefined),
  ).toBe(true)
  expect(readFileSync(file('runs.txt'), 'utf8')).toBe('ran\n')
  expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
})

test('kill -9 of claude after a tool has run: the turn goes on behind it', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@bash(echo ran >> runs.txt) @tokens(300,10)')
  await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
  await firstItem(session, (item) => item.type === 'delta' && item.kind === 'text')
  // claude writes it down a moment after it has told it; before that, somebody would be asked.
  await until('the result is in its record', () =>
    transcriptsOf(server.dataDir).some((text) => text.includes('@tokens(300,10)') && text.includes('"tool_use_id"')),
  )
  kill(await claudeOf(id), 'SIGKILL')
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  const log = await expectRecovered(id)
  expect(readFileSync(file('runs.txt'), 'utf8')).toBe('ran\n')
  expect(log.filter(({ type }) => type === 'tool_result').length).toBe(1)
  expect(log.some((message) => message.type === 'progress' && message.kind === 'continued')).toBe(true)
})

test('kill -9 of claude while a request waits: it is withdrawn, its tool has not run, and the turn goes on', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@bash(echo ran >> runs.txt) @text(done)')
  const first = await pendingApproval(session)
  kill(await claudeOf(id), 'SIGKILL')
  await firstItem(session, (item) => item.type === 'approval' && item.state === 'withdrawn')
  await expect(client.approvals.answer(first.approvalId, { decision: 'allow' })).rejects.toMatchObject({ status: 409 })

  // Whether claude had noted its call before it died is its affair: it asks again, or it is asked to go on from there.
  let asked = 1
  for await (const item of session.events({ after: first.seq })) {
    if (item.type === 'complete') break
    if (item.type !== 'approval' || item.state !== 'pending') continue
    asked += 1
    await client.approvals.answer(item.approvalId, { decision: 'allow' })
  }
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  const log = await expectRecovered(id)
  expect(log.flatMap((message) => (message.type === 'approval' ? [message.state] : []))).toEqual(
    asked === 1 ? ['pending', 'withdrawn'] : ['pending', 'withdrawn', 'pending', 'allowed'],
  )
  expect(existsSync(file('runs.txt')) ? readFileSync(file('runs.txt'), 'utf8') : '').toBe(asked === 1 ? '' : 'ran\n')
})

test('kill -9 of the outermost process takes the whole tree along, and the prompt is answered by the next one', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(200,5)')
  await collect(turn, hasGrownTo(100))
  const { outer = 0, all } = server.sessionProcesses(id)
  kill(outer, 'SIGKILL')
  await allGone(all.map(({ pid }) => pid))
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(200) })
  await expectRecovered(id)
})

test('kill -9 of an idle claude: the next prompt starts it again with the conversation', async () => {
  const { id, session } = await open()
  await session.execute('@text(first)').complete()
  const { lastSeq, usage } = await session.info()
  kill(await claudeOf(id), 'SIGKILL')
  await firstItem(session, (item) => item.type === 'progress' && item.kind === 'process_ended', lastSeq - 1)
  expect(await session.info()).toMatchObject({ status: 'idle', process: 'none' })
  expect(await session.execute('@text(second)').complete()).toMatchObject({ result: 'success', text: 'second' })
  const after = await session.info()
  // The second call had the first turn in it: it is more than twice as much in all.
  expect(after.usage.inputTokens).toBeGreaterThan(2 * usage.inputTokens)
  expectWhole(await logOf(client, id))
})

test('kill -9 of claude and of the server together', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(200,5)')
  await collect(turn, hasGrownTo(100))
  const claude = await claudeOf(id)
  await server.kill9()
  kill(claude, 'SIGKILL')
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(200) })
  await expectRecovered(id)
})

// --- the broker ---------------------------------------------------------------------------------------------------------

test('kill -9 of the broker in the middle of an answer: claude tries again, says so, and the turn succeeds', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(300,10)')
  await collect(turn, hasGrownTo(100))
  const broker = await until('the broker runs', () => server.brokerPid())
  kill(broker, 'SIGKILL')
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect(server.brokerPid()).not.toBe(broker)
  const log = await logOf(client, id)
  expectWhole(log)
  // What was shown is kept as it was, then it is tried again.
  const said = log.filter(({ type }) => type === 'text' || type === 'progress')
  expect(said).toMatchObject([
    { type: 'text', partial: true, text: expect.stringMatching(/^tok0 tok1 /) },
    { type: 'progress', kind: 'api_retry' },
    ...said.slice(2, -1).map(() => ({ type: 'progress', kind: 'api_retry' })),
    { type: 'text' },
  ])
  expectSame(storedText(said.slice(-1)), tokensText(300))
  expect((await session.info()).generation).toBe(1)
})

// --- after all of it ----------------------------------------------------------------------------------------------------

test('when all sessions are closed nothing is left of any of them', async () => {
  const { sessions } = await client.sessions.list({ limit: 200 })
  for (const { id } of sessions) await client.session(id).close()
  await until('no process is left', () => server.children().length === 0)
  const counted = async () => (await client.health()).sessions
  await until('the server knows it', async () => (await counted()).processes === 0)
  expect(await counted()).toMatchObject({ running: 0 })
})
