import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Client, SessionHandle } from '@aicm/client'
import type { Message, StreamItem } from '@aicm/protocol'
import { isRunning, kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { allGone, startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { collect, expectGapless, expectSame, firstItem, grownText, isComplete, logOf, storedText } from './lib/turns.ts'
import { openSocket, type RawSocket } from './lib/ws.ts'

/** What a machine does to a server, and a broken claude to its session; the stand-in for claude does it on demand. */

const test = requires('linux', 'prlimit')
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
  client = await server.client()
})
afterAll(() => server?.stop())

const open = async (config: { model?: string } = {}) => {
  const { id, workspaceId } = await client.sessions.create(config)
  const { path: workspace } = await client.workspaces.get(workspaceId)
  return { id, session: client.session(id), workspace }
}

const claudeOf = (id: string): Promise<number> => until('claude runs', () => server.sessionProcesses(id).claude)

const answersNext = async (session: SessionHandle): Promise<void> =>
  expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })

/** All that was said of the session's failures. */
const errorsOf = (log: Message[]) => log.flatMap((message) => (message.type === 'error' ? [message] : []))

/** Kilobytes: `VmRSS` now, `VmHWM` at most since `forgetPeak`. */
const memoryOf = (pid: number, which: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${which}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** An earlier test's flood would be counted again. Source: proc(5), /proc/PID/clear_refs. */
const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5')

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

const growsTo = (length: number) => (item: StreamItem) =>
  item.type === 'delta' && item.kind === 'text' && item.at + item.text.length >= length

// --- the server is stopped, in both ways ----------------------------------------------------------------------------------

test('a server that is stopped for the rest of a turn goes on where it was: nothing is lost, and nobody is ended', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(300,5)')
  const seen = await collect(turn, growsTo(100))
  const claude = await claudeOf(id)
  kill(server.pid(), 'SIGSTOP')
  const journal = join(server.dataDir, 'sessions', id, '1', 'stdout.ndjson')
  await until('the turn has ended', () => readFileSync(journal, 'utf8').includes('"type":"result"'))
  kill(server.pid(), 'SIGCONT')
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(300) })
  const log = await logOf(client, id)
  expectGapless(log)
  expectSame(storedText(log), tokensText(300))
  expectSame(grownText(seen), tokensText(300).slice(0, grownText(seen).length))
  expect(server.sessionProcesses(id).claude).toBe(claude)
})

test('how long the watchdogs wait is the operator’s to say', async () => {
  const times = ['--ping-interval', '100ms', '--ping-timeout', '250ms', '--stop-timeout', '300ms']
  await using own = await startTestServer({ claude: 'fake', args: times })
  const caller = await own.client()
  const { id } = await caller.sessions.create()
  await caller.session(id).execute('@ignore-term @text(stubborn)').complete()
  kill(await until('claude runs', () => own.sessionProcesses(id).claude), 'SIGSTOP')
  await until('it was ended', async () => (await caller.sessions.get(id)).process === 'none')
  const told = (await logOf(caller, id)).flatMap((message) =>
    message.type === 'progress' ? [`${message.kind} ${message.text}`] : [],
  )
  expect(told.slice(-3)).toEqual([
    expect.stringContaining('unresponsive claude has given no sign of life for'),
    'stop_ignored claude did not end within 0.3 s of being asked to, and was killed.',
    expect.stringContaining('process_ended claude has given no sign of life'),
  ])
})

test('SIGTERM while prompts come in, and twice more: what was accepted is answered once, and the server ends by itself', async () => {
  const sessions = await Promise.all(Array.from({ length: 5 }, () => open()))
  await Promise.all(sessions.map(({ session }) => session.execute('@text(warm)').complete()))
  // Without the SDK, which would send again what was not accepted.
  const headers = { authorization: `Bearer ${await server.token()}`, 'content-type': 'application/json' }
  const sent = sessions.flatMap(({ id }) => Array.from({ length: 20 }, () => ({ id, turnId: crypto.randomUUID() })))
  let accepted: string[] = []
  const answers = sent.map(async ({ id, turnId }) => {
    const answer = await fetch(`${server.url}/v1/sessions/${id}/execute`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ id: turnId, prompt: '@text(a)' }),
    }).catch(() => undefined)
    if (answer?.status === 202) accepted = [...accepted, turnId]
  })
  await until('some are accepted', () => accepted.length > 10)
  const pid = server.pid()
  const ended = server.terminate()
  kill(pid, 'SIGTERM')
  kill(pid, 'SIGTERM')
  expect(await ended).toBe(0)
  await Promise.all(answers)
  await server.restart()
  for (const { id } of sessions) {
    const mine = sent.filter((prompt) => prompt.id === id && accepted.includes(prompt.turnId))
    const completes = () =>
      logOf(client, id).then((log) => log.flatMap((item) => (item.type === 'complete' ? [item.turnId] : [])))
    await until('all are answered', async () => (await client.sessions.get(id)).status === 'idle')
    const turns = await completes()
    expect(new Set(turns).size).toBe(turns.length)
    expect(turns).toEqual(expect.arrayContaining(mine.map(({ turnId }) => turnId)))
    expectGapless(await logOf(client, id))
  }
})

test('file descriptors used up: the server answers who has a connection, takes nobody else, and recovers', async () => {
  const { id, session } = await open()
  const turn = session.execute('@tokens(400,10)')
  await collect(turn, growsTo(20))
  const pid = server.pid()
  const limit = (soft: string): void => {
    expect(spawnSync('prlimit', ['--pid', `${pid}`, `--nofile=${soft}:`]).status).toBe(0)
  }
  const [, before = ''] = /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')) ?? []
  const headers = { authorization: `Bearer ${await server.token()}` }
  const most = descriptorsOf(pid) + 15
  limit(`${most}`)
  const opened: RawSocket[] = []
  try {
    const tried = await Promise.allSettled(
      Array.from({ length: 60 }, () => openSocket(`${server.url}/v1/ws`, { headers, handshakeTimeout: 2000 })),
    )
    for (const socket of tried) if (socket.status === 'fulfilled') opened.push(socket.value)
    expect(opened.length).toBeLessThan(60)
    expect(isRunning(pid)).toBe(true)
  } finally {
    for (const socket of opened) socket.close()
    await until('the connections are gone', () => descriptorsOf(pid) < most - 5)
    limit(before)
  }
  expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(400) })
  expectGapless(await logOf(client, id))
  await answersNext((await open()).session)
  expect(server.pid()).toBe(pid)
})

test('200 clients that come back at once after kill -9 of the server all have the whole answer', async () => {
  const { session, id } = await open()
  await session.execute('@text(warm)').complete()
  const readers = await Promise.all(Array.from({ length: 200 }, () => server.client()))
  const streams = readers.map((reader) => {
    let turns = 0
    return collect(reader.session(id).events(), (item) => isComplete(item) && ++turns === 2)
  })
  const turn = session.execute('@tokens(400,5)')
  await collect(turn, growsTo(50))
  await server.restart()
  for (const items of await Promise.all(streams)) {
    expectGapless(items)
    expectSame(storedText(items), `warm${tokensText(400)}`)
  }
  for (const reader of readers) reader.close()
})

// --- what claude says and does --------------------------------------------------------------------------------------------

const floods = {
  'one line of 100 MB': { prompt: '@long-line(100000000)', subtype: 'oversized' },
  'one line of 50 MB that is no text': { prompt: '@garbage(50000000)', subtype: 'oversized' },
  '50 MB of random bytes': { prompt: '@random(50000000)', subtype: 'unparsed' },
  '1 GB of error output': { prompt: '@stderr(1000000000)', subtype: undefined },
}
for (const [what, { prompt, subtype }] of Object.entries(floods))
  test(`${what}: it is marked, held nowhere, and the next good line counts`, async () => {
    const { id, session } = await open()
    await session.execute('@text(warm)').complete()
    const pid = server.pid()
    forgetPeak(pid)
    const before = memoryOf(pid, 'VmRSS')
    expect(await session.execute(`${prompt} @text(after)`).complete()).toMatchObject({
      result: 'success',
      text: 'after',
    })
    expect(memoryOf(pid, 'VmHWM') - before).toBeLessThan(200_000)
    const log = await logOf(client, id)
    expectGapless(log)
    const marked = log.filter((message) => message.type === 'system' && message.subtype === subtype)
    expect(marked.length).toBeGreaterThanOrEqual(subtype === undefined ? 0 : 1)
    expect(marked.length).toBeLessThan(50)
    const errorOutput = join(server.dataDir, 'sessions', id, '1', 'stderr.log')
    await until('its error output is short', () => statSync(errorOutput).size < 20 * 1024 * 1024)
    await answersNext(session)
    await session.close()
  })

test('past the size limit of files only that claude is ended, and its session says so and goes on', async () => {
  const other = await open()
  const { id, session } = await open()
  const turn = session.execute('@text(a) @crash-once(153) @text(b)')
  await turn.complete()
  const log = await logOf(client, id)
  expect(errorsOf(log)[0]).toMatchObject({ code: 'file_size_limit' })
  await answersNext(session)
  await answersNext(other.session)
  expect((await other.session.info()).generation).toBe(1)
})

requires('bwrap')(
  'kill -9 of the init of a sandbox takes all of it along, and the prompt is answered by the next one',
  async () => {
    const { id, session } = await open()
    const turn = session.execute('@daemon(1000) @tokens(300,5)')
    await collect(turn, growsTo(50))
    const { all, outer, claude } = server.sessionProcesses(id)
    const init = all.find(({ pid, parent }) => parent === outer && pid !== claude)
    kill(init?.pid ?? 0, 'SIGKILL')
    await allGone(all.map(({ pid }) => pid))
    expect(await turn.complete()).toMatchObject({ result: 'success', text: tokensText(300) })
    expect(errorsOf(await logOf(client, id))).toMatchObject([{ code: 'process_crashed' }])
  },
)

test('a session that leaves many processes behind: all end with it, and others are not disturbed', async () => {
  const { id, session } = await open()
  await session.execute(`${'@daemon(1000) '.repeat(60)} @text(done)`).complete()
  const left = server.sessionProcesses(id).all.map(({ pid }) => pid)
  expect(left.length).toBeGreaterThan(60)
  const other = await open()
  await answersNext(other.session)
  await session.close()
  await allGone(left)
  await answersNext(other.session)
  expect((await other.session.info()).generation).toBe(1)
})

test('a workspace that is deleted under a session: the next prompt fails and says so, and others go on', async () => {
  const { id, session, workspace } = await open()
  await session.execute('@text(a)').complete()
  const { lastSeq } = await session.info()
  rmSync(workspace, { recursive: true })
  kill(await claudeOf(id), 'SIGKILL')
  await firstItem(session, (item) => item.type === 'progress' && item.kind === 'process_ended', lastSeq - 1)
  expect(await session.execute('@text(b)').complete()).toMatchObject({ result: 'error', reason: 'start_failed' })
  expect(errorsOf(await logOf(client, id))[0]?.message).toContain(workspace)
  await until('its last process is gone', () => server.sessionProcesses(id).all.length === 0)
  await answersNext((await open()).session)
})

// --- claude itself --------------------------------------------------------------------------------------------------------

test('a claude that ends at once is started a few times, slower and slower, and then no more', async () => {
  const { id, session } = await open({ model: 'fake-exit-at-start' })
  expect(await session.execute('@text(a)').complete()).toMatchObject({ result: 'error', reason: 'start_failed' })
  const { status, reason, generation } = await session.info()
  expect({ status, generation }).toEqual({ status: 'closed', generation: 6 })
  expect(reason).toContain('told to end at its start')
  expect(server.sessionProcesses(id).all).toEqual([])
})

for (const [what, spoil] of [
  ['is gone', (program: string) => renameSync(program, `${program}.away`)],
  ['can no longer be run', (program: string) => chmodSync(program, 0o644)],
] as const)
  test(`a claude that ${what}: the session that needs it fails and says so; when it is back new ones work`, async () => {
    const running = await open()
    await running.session.execute('@text(a)').complete()
    const { id, session } = await open()
    await session.execute('@text(a)').complete()
    spoil(server.program)
    await expect(open()).rejects.toMatchObject({ code: 'claude_unavailable' })
    kill(await claudeOf(id), 'SIGKILL')
    await until('it has ended', async () => (await session.info()).process !== 'ready')
    const { result, reason } = await session.execute('@text(b)').complete()
    expect({ result, reason }).toEqual({ result: 'error', reason: 'claude_missing' })
    expect((await session.info()).reason).toContain(server.program)
    // Who has one already is not disturbed.
    await answersNext(running.session)
    if (what === 'is gone') renameSync(`${server.program}.away`, server.program)
    else chmodSync(server.program, 0o755)
    await answersNext((await open()).session)
  })

test('where there is no claude from the beginning sessions are refused, and the reason is told', async () => {
  await using none = await startTestServer({ claude: 'fake', args: ['--claude', '/nonexistent/claude'] })
  const unable = await none.client()
  expect((await unable.health()).reasons.join(' ')).toContain('/nonexistent/claude')
  const refused = unable.sessions.create()
  await expect(refused).rejects.toMatchObject({ code: 'claude_unavailable', status: 503 })
  await expect(refused).rejects.toThrow('/nonexistent/claude')
  expect((await unable.sessions.list()).sessions).toEqual([])
})
