import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { brokerControl } from './client.ts'
import { tokensText } from './demo/directives.ts'
import { brokerCommand } from './command.ts'
import { openBroker } from './broker.ts'
import { prepareFolders, socketPaths } from './paths.ts'
import { ask, eventsOf, live, messages, open, testBroker, textOf } from './testing.ts'
import { sessionTokens } from './session-tokens.ts'

const start = (dir: string) => {
  const [node, ...args] = brokerCommand(dir)
  const child = spawn(node, args, { stdio: ['ignore', 'ignore', 'pipe'], env: {} })
  const exited = once(child, 'exit')
  const close = async () => {
    child.kill('SIGKILL')
    await exited
  }
  return { child, exited, stderr: text(child.stderr), [Symbol.asyncDispose]: close }
}
const newDir = () => join(mkdtempSync(join(tmpdir(), 'aicm-broker-')), 'broker')
const statusOf = (dir: string) =>
  brokerControl(dir)
    .status()
    .catch(() => null)
const up = async (dir: string) => {
  await expect.poll(() => statusOf(dir), { timeout: 10_000 }).toMatchObject({ mode: null })
}
const modeOf = (path: string) => statSync(path).mode & 0o777

test('it starts unconfigured, says so in the API’s own words, and tells its status', async () => {
  await using broker = await testBroker()
  const answer = await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: messages('hello') })
  expect(answer.status).toBe(503)
  expect(JSON.parse(answer.body)).toMatchObject({
    type: 'error',
    error: { type: 'api_error', message: expect.stringContaining('not been configured') },
  })
  expect(await broker.control.status()).toMatchObject({
    pid: process.pid,
    mode: null,
    credentials: [],
    breakerChanges: [],
    activeRequests: 0,
    answering: [],
  })
})

test('a configuration is shown without its secret, and can be changed while it runs', async () => {
  await using broker = await testBroker()
  const status = await broker.control.configure(
    live('https://api.example.com', { kind: 'oauth-token', value: 'secret' }, { userId: 'usr_2' }),
  )
  expect(status).toMatchObject({
    mode: 'live',
    credentials: [{ upstream: 'https://api.example.com', kind: 'oauth-token', state: 'ready' }],
  })
  expect(JSON.stringify(status)).not.toContain('secret')
  expect(await broker.control.configure({ mode: 'demo' })).toMatchObject({ mode: 'demo', credentials: [] })
  const answer = await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: messages('@text(hello)') })
  expect(textOf(eventsOf(answer.body))).toBe('hello')
})

test('the control socket refuses what it does not know, and repeats nothing of it', async () => {
  await using broker = await testBroker()
  const { control } = socketPaths(broker.dir)
  expect(await ask(control, { method: 'PUT', path: '/config', body: 'secret{' })).toMatchObject({
    status: 400,
    body: expect.not.stringContaining('secret'),
  })
  expect((await ask(control, { method: 'PUT', path: '/config', body: 'x'.repeat(17 * 1024 * 1024) })).status).toBe(400)
  expect((await ask(control, { method: 'GET', path: '/config' })).status).toBe(404)
  expect((await broker.control.status()).mode).toBeNull()
})

test('the modes of its files let others reach the API socket and nothing else', async () => {
  await using broker = await testBroker()
  const paths = socketPaths(broker.dir)
  expect([paths.api, paths.apiDir, paths.control, broker.dir, join(broker.dir, 'token.key')].map(modeOf)).toEqual([
    0o666, 0o755, 0o600, 0o711, 0o600,
  ])
})

test('a second broker on the same folder finds the first and is none', async () => {
  await using broker = await testBroker()
  expect(await openBroker({ dir: broker.dir })).toBeNull()
})

test('of many brokers that start at once exactly one serves, and the others leave quietly', async () => {
  const dir = newDir()
  await using first = start(dir)
  await using second = start(dir)
  await using third = start(dir)
  await up(dir)
  const { pid } = await brokerControl(dir).status()
  const others = [first, second, third].filter(({ child }) => child.pid !== pid)
  expect(others).toHaveLength(2)
  for (const { exited, stderr } of others) expect([(await exited)[0], await stderr]).toEqual([0, ''])
  expect((await brokerControl(dir).status()).pid).toBe(pid)
})

test('after kill -9 a new one takes the place, with sessions’ tokens still good', async () => {
  const dir = newDir()
  await using first = start(dir)
  await up(dir)
  first.child.kill('SIGKILL')
  await first.exited
  await using second = start(dir)
  await up(dir)
  await brokerControl(dir).configure({ mode: 'demo' })
  const token = sessionTokens(dir).give({ sessionId: 'ses_1', userId: 'usr_1' })
  expect(
    (await ask(socketPaths(dir).api, { headers: { 'x-api-key': token }, body: messages('@text(hi)') })).status,
  ).toBe(200)
  second.child.kill('SIGTERM')
  expect(await second.exited).toEqual([0, null])
})

test('a file that is no socket does not keep it from starting', async () => {
  const dir = newDir()
  const paths = prepareFolders(dir)
  writeFileSync(paths.api, 'stale')
  writeFileSync(paths.control, 'stale')
  await using broker = await openBroker({ dir })
  expect(broker).not.toBeNull()
})

test('told to stop, it lets a stream finish, and a successor may start meanwhile', async () => {
  const dir = newDir()
  await using first = start(dir)
  await up(dir)
  await brokerControl(dir).configure({ mode: 'demo' })
  const token = sessionTokens(dir).give({ sessionId: 'ses_1', userId: 'usr_1' })
  const stream = await open(socketPaths(dir).api, {
    headers: { 'x-api-key': token },
    body: messages('@tokens(100,10)'),
  })
  await once(stream, 'readable')
  await brokerControl(dir).stop()
  let opened = await openBroker({ dir })
  // Its answer may come before it has let go of the folder.
  while (opened === null) opened = await openBroker({ dir })
  await using _ = opened
  expect((await brokerControl(dir).status()).pid).toBe(process.pid)
  expect(textOf(eventsOf(await text(stream)))).toBe(tokensText(100))
  expect(await first.exited).toEqual([0, null])
  expect((await brokerControl(dir).status()).pid).toBe(process.pid)
})

test('a stream that does not finish is cut when the time is over', async () => {
  await using broker = await testBroker({ mode: 'demo' }, { drainMs: 100 })
  const stream = await open(broker.socket, { headers: { 'x-api-key': broker.token }, body: messages('@hang') })
  await broker.broker.stop()
  await expect(text(stream)).rejects.toThrow('aborted')
})

test('it leaves when its sockets are removed, for nobody could reach it', async () => {
  await using broker = await testBroker(undefined, { watchMs: 20 })
  rmSync(broker.dir, { recursive: true })
  await broker.broker.stopped
})

test('called wrongly it says how it is called', async () => {
  const [node, ...args] = brokerCommand('')
  for (const wrong of [args, args.slice(0, -1), args.slice(0, -2)]) {
    const child = spawn(node, wrong, { stdio: ['ignore', 'ignore', 'pipe'], env: {} })
    const stderr = text(child.stderr)
    expect(await once(child, 'exit')).toEqual([2, null])
    expect(await stderr).toContain('--dir DIR')
  }
})

test('requests are logged without their words', async () => {
  await using broker = await testBroker({ mode: 'demo' })
  await ask(broker.socket, { headers: { 'x-api-key': broker.token }, body: messages('@text(private words)') })
  await expect.poll(() => readFileSync(join(broker.dir, 'broker.log'), 'utf8')).toContain('"sessionId":"ses_1"')
  expect(readFileSync(join(broker.dir, 'broker.log'), 'utf8')).not.toContain('private')
})
