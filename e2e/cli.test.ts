import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { aicmEnv, aicmPath, startAicm } from './lib/aicm.ts'
import { openTerminal } from './lib/terminal.ts'
import {
  expectGapless,
  expectSame,
  firstItem,
  isComplete,
  messagesOf,
  pendingApproval,
  storedText,
} from './lib/turns.ts'

const test = requires('claude', 'linux')
let dir: string
let home: string
let server: TestServer
let client: Client

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-cli-'))
  home = join(dir, 'home')
  mkdirSync(home)
  server = await startTestServer()
  client = await server.client()
  const { code, stdout } = await aicm(['login', '--password-stdin'], { input: `${server.password}\n` })
  expect(code).toBe(0)
  expect(stdout).toContain(server.url)
})
afterAll(async () => {
  await server?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const start = (args: string[], options?: Parameters<typeof startAicm>[3]) => startAicm(server, home, args, options)
const aicm = (args: string[], options?: Parameters<typeof startAicm>[3]) => start(args, options).ended
const lines = (text: string): unknown[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown)

test('the log-in is remembered in a file for its owner alone', async () => {
  const config = join(home, '.config', 'aicm', 'config.json')
  expect(statSync(config).mode & 0o777).toBe(0o600)
  expect(readFileSync(config, 'utf8')).not.toContain(server.password)
  expect(await aicm(['login', '--password-stdin'], { input: 'wrong' })).toMatchObject({
    code: expect.toBeOneOf([1, 3]),
    stdout: '',
  })
})

test('who is not logged in is told what to do, with an exit code of its own', async () => {
  const stranger = join(dir, 'stranger')
  mkdirSync(stranger)
  const { code, stdout, stderr } = await startAicm(server, stranger, ['run', 'hello']).ended
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
  expect(stderr).toContain('aicm login')
})

test('run streams the answer to stdout, and nothing else', async () => {
  const { code, stdout } = await aicm(['run', '@tokens(100,2)'])
  expectSame(stdout.trimEnd(), tokensText(100))
  expect(code).toBe(0)
})

test('run takes the prompt from stdin, and what is on stdin with the prompt', async () => {
  expect(await aicm(['run'], { input: '@text(from stdin)\n' })).toMatchObject({ code: 0, stdout: 'from stdin\n' })
  expect(await aicm(['run', '@text(one)'], { input: '@text(two)' })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^one\s*two\n$/),
  })
})

test('run --json gives every item of the turn as a line of JSON', async () => {
  const { code, stdout } = await aicm(['--json', 'run', '@tokens(50,2) @bash(true) @text(end)'])
  expect(code).toBe(0)
  const items = lines(stdout) as Parameters<typeof storedText>[0]
  expect(items[0]).toMatchObject({ type: 'prompt' })
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
  expect(storedText(items)).toBe(`${tokensText(50)}end`)
  expect(items.some(({ type }) => type === 'delta')).toBe(true)
  expect(messagesOf(items).map(({ type }) => type)).toEqual(expect.arrayContaining(['tool_use', 'tool_result', 'text']))
})

test('the exit code tells what became of it', async () => {
  expect(await aicm(['run', '@error(400)'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Scripted error 400'),
  })
  expect(await aicm(['run'])).toMatchObject({ code: 2 })
  expect(await aicm(['nonsense'])).toMatchObject({ code: 2 })
  expect(await aicm(['run', '--nonsense', 'x'])).toMatchObject({ code: 2 })
  expect(await aicm(['run', 'x'], { env: { AICM_SERVER: 'http://127.0.0.1:9' } })).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('127.0.0.1:9'),
  })
  expect(await aicm(['run', 'x'], { env: { AICM_TOKEN: 'garbage' } })).toMatchObject({ code: 3, stdout: '' })
  const json = await aicm(['--json', 'sessions', 'show', 'ses_0123456789abcdefghjkmnpqrs'])
  expect(json).toMatchObject({ code: 1, stdout: '' })
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'session_not_found', message: expect.any(String) } })
})

test('sessions are listed, shown, gone on with and deleted, by the beginning of their ids', async () => {
  const first = await aicm(['--json', 'run', '--keep', '@text(first)'])
  const [{ sessionId }] = lines(first.stderr) as [{ sessionId: string }]
  expect(await aicm(['run', '--session', sessionId, '@text(second)'])).toMatchObject({ code: 0, stdout: 'second\n' })

  const listed = await aicm(['sessions', 'ls'])
  expect(listed.stdout).toContain(sessionId)
  const all = JSON.parse((await aicm(['--json', 'sessions', 'ls'])).stdout) as { id: string; turns: number }[]
  expect(all.find(({ id }) => id === sessionId)).toMatchObject({ turns: 2, status: 'idle' })
  expect((await aicm(['sessions', 'show', sessionId.slice(0, -3)])).stdout).toMatch(/status\s+idle/)
  expect(await aicm(['close', sessionId])).toMatchObject({ code: 0 })
  expect(await client.sessions.get(sessionId)).toMatchObject({ status: 'closed' })
  expect(await aicm(['sessions', 'rm', sessionId])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(sessionId),
  })
  expect(await aicm(['sessions', 'show', sessionId])).toMatchObject({ code: 1 })
})

test('a request for permission is said, and answered with approve', async () => {
  const running = start(['run', '@write(cli.txt|x) @text(written)'])
  await until('it says what it waits for', () => running.stderr().includes('aicm approve apr_'))
  const id = /aicm approve (apr_\w+)/.exec(running.stderr())?.[1] ?? ''
  expect((await aicm(['approve'])).stdout).toContain(id)
  expect(await aicm(['approve', id])).toMatchObject({ code: 0, stdout: expect.stringContaining('allowed') })
  expect(await running.ended).toMatchObject({ code: 0, stdout: 'written\n' })
  expect(await aicm(['approve', id])).toMatchObject({ code: 1, stderr: expect.stringContaining('answered') })
})

test('Ctrl-C interrupts the turn, and the exit code says that it did not succeed', async () => {
  const running = start(['run', '@tokens(100000,5)'])
  await until('the answer streams', () => running.stdout().includes('tok20'))
  running.child.kill('SIGINT')
  const { code, stdout } = await running.ended
  expect(code).toBe(1)
  expect(tokensText(100_000).startsWith(stdout.trimEnd())).toBe(true)
})

test('health tells what the server runs on, and by its exit code whether something is wrong', async () => {
  const health = await client.health()
  const { code, stdout } = await aicm(['health'])
  expect(code).toBe(health.status === 'ok' ? 0 : 1)
  expect(stdout).toContain('demo')
  expect(stdout).toContain(health.claude.version)
  expect(JSON.parse((await aicm(['--json', 'health'])).stdout)).toMatchObject({ claude: health.claude })
})

test('attach --json shows a session from its beginning, through a restart of the server, until it is closed', async () => {
  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(before)').complete()
  const attached = start(['--json', 'attach', id])
  await until('it has caught up', () => attached.stdout().includes('"complete"'))
  const turn = client.session(id).execute('@tokens(200,10)')
  await firstItem(client.session(id), (item) => item.type === 'delta' && item.at > 100, 5)
  await server.restart()
  await turn.complete()
  await client.session(id).close()
  const { code, stdout } = await attached.ended
  expect(code).toBe(0)
  const items = lines(stdout) as Parameters<typeof storedText>[0]
  expectGapless(items)
  expect(storedText(items)).toBe(`before${tokensText(200)}`)
  expect(items.filter(isComplete).length).toBe(2)
})

requires(
  'claude',
  'linux',
  'tmux',
)('attach in a terminal: typing sends, a question is answered, Ctrl-C interrupts, a second one leaves', async () => {
  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(said before)').complete()
  using terminal = openTerminal(
    dir,
    [process.execPath, aicmPath, 'attach', id],
    aicmEnv(home, { AICM_SERVER: server.url }),
  )
  await terminal.shows('said before')

  terminal.type('@write(tty.txt|x) @text(all done)')
  terminal.press('Enter')
  await terminal.shows('Allow Write')
  terminal.type('y')
  terminal.press('Enter')
  await terminal.shows(/^all done/m)

  terminal.type('@tokens(100000,5)')
  terminal.press('Enter')
  await terminal.shows('tok30')
  terminal.press('C-c')
  await terminal.shows('interrupted')
  expect((await client.sessions.get(id)).status).toBe('idle')
  terminal.press('C-c')
  await terminal.shows('exit code 0')
  // Leaving ends nothing.
  expect(await client.sessions.get(id)).toMatchObject({ status: 'idle', process: 'ready' })
})

requires(
  'claude',
  'linux',
  'tmux',
)('run in a terminal asks for permission and goes on by the answer', async () => {
  using terminal = openTerminal(
    dir,
    [process.execPath, aicmPath, 'run', '@write(tty.txt|x) @text(went on)'],
    aicmEnv(home, { AICM_SERVER: server.url }),
  )
  await terminal.shows('Allow Write')
  terminal.type('n')
  terminal.press('Enter')
  await terminal.shows(/^went on/m)
  await terminal.shows('exit code 0')
})

test('approvals of a session that is watched by two are answered by either', async () => {
  const { id } = await client.sessions.create()
  const attached = start(['attach', id])
  const turn = client.session(id).execute('@write(two.txt|x) @text(ok)')
  const { approvalId } = await pendingApproval(client.session(id))
  await until('both know', () => attached.stderr().includes(approvalId))
  expect(await aicm(['approve', approvalId, '--deny', '--message', 'no'])).toMatchObject({ code: 0 })
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'ok' })
  await until('the other sees it', () => attached.stderr().includes('denied') && attached.stdout().includes('ok'))
  await client.session(id).close()
  expect(await attached.ended).toMatchObject({ code: 0 })
})
