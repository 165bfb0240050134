import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect } from 'vitest'
import { tokensText } from '@aicm/broker'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'

const launcher = fileURLToPath(new URL('../packages/cli/bin/aicm.js', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'aicm-cli-'))
let server: TestServer

const environment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: home,
  TERM: 'xterm',
  AICM_CONFIG: join(home, 'config.json'),
  AICM_SERVER: server.url,
})

/** Runs `aicm` to its end, without a terminal. */
const aicm = (args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [launcher, ...args], { env: environment() })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
    child.on('close', (code) => resolve({ code, ...output }))
    child.stdin.end(input)
  })

beforeAll(async () => {
  server = await startTestServer()
})

afterAll(async () => {
  await server.stop()
  await rm(home, { recursive: true, force: true })
})

const test = requires('claude')

test('who is not logged in is told what to do, with an exit code of its own', async () => {
  const { code, stderr } = await aicm(['run', 'hello'])
  expect(code).toBe(3)
  expect(stderr).toContain('aicm login')
  const wrong = await aicm(['login', '--password-stdin'], 'wrong\n')
  expect(wrong).toMatchObject({ code: 3 })
  expect((await aicm(['login', '--password-stdin'], `${server.password}\n`)).code).toBe(0)
})

test('run prints the answer and nothing else on stdout, and takes the prompt from stdin too', async () => {
  const { code, stdout } = await aicm(['run', '@tokens(40)'])
  expect(stdout.trim()).toBe(tokensText(40).trim())
  expect(code).toBe(0)
  expect((await aicm(['run'], '@text(from stdin)')).stdout.trim()).toBe('from stdin')
})

test('run --json prints every item of the stream as a line', async () => {
  const { code, stdout } = await aicm(['--json', 'run', '@tokens(5)'])
  const items = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; result?: string })
  expect(items.at(0)).toMatchObject({ type: 'prompt' })
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
  expect(code).toBe(0)
})

test('a turn that fails gives exit code 1 and says why', async () => {
  const { code, stderr } = await aicm(['run', '@error(400)'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/error/i)
})

test('a session is kept, listed, shown, continued and deleted', async () => {
  const kept = await aicm(['--json', 'run', '--keep', '@text(first)'])
  expect(kept.code).toBe(0)
  const list = await aicm(['--json', 'sessions', 'ls', '--status', 'idle'])
  const id = /ses_[0-9a-z]{26}/.exec(list.stdout)?.[0] ?? ''
  expect((await aicm(['sessions', 'show', id])).stdout).toContain(id)
  expect((await aicm(['run', '--session', id, '@text(second)'])).stdout.trim()).toBe('second')
  expect((await aicm(['sessions', 'rm', id])).code).toBe(0)
  expect((await aicm(['sessions', 'show', id])).code).not.toBe(0)
})

test('a permission request is answered from another terminal', async () => {
  const running = aicm(['run', '@write(a.txt|text) @text(done)'])
  const id = await until('it asks', async () => {
    const { stdout } = await aicm(['--json', 'approve'])
    return /apr_[0-9a-z]{26}/.exec(stdout)?.[0]
  })
  expect((await aicm(['approve', id])).code).toBe(0)
  expect(await running).toMatchObject({ code: 0, stdout: expect.stringContaining('done') })
})

requires('claude', 'tmux')('Ctrl-C in a terminal interrupts the turn, and the command ends by itself', async () => {
  const socket = join(home, 'tmux')
  const tmux = (...args: string[]): Promise<string> =>
    new Promise((resolve) => {
      const child = spawn('tmux', ['-S', socket, ...args], { env: environment() })
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
      child.on('close', () => resolve(output))
    })
  const shown = async (text: string): Promise<true | undefined> =>
    (await tmux('capture-pane', '-p')).includes(text) || undefined
  await tmux(
    'new-session',
    '-d',
    '-x',
    '100',
    '-y',
    '30',
    `${process.execPath} ${launcher} run '@tokens(2000,30)'; echo "code $?"; cat`,
  )
  try {
    await until('the answer grows', () => shown('tok5'))
    await tmux('send-keys', 'C-c')
    await until('the command has ended', () => shown('code 1'))
    expect(await shown('interrupted')).toBe(true)
  } finally {
    await tmux('kill-server')
  }
})

test('health says what the server runs on, in words and as JSON', async () => {
  const words = await aicm(['health'])
  expect(words.stdout).toContain('demo')
  expect(JSON.parse((await aicm(['--json', 'health'])).stdout)).toMatchObject({ modelApi: { mode: 'demo' } })
})
