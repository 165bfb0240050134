import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startFakeApi, type FakeApi, type FakeTurn } from '../../testing/src/fake-api/fake-api.ts'
import type { Io } from './io.ts'
import { runCli } from './program.ts'

// What depends on a terminal, in this process, with streams that say they are one.

let home: string
let api: FakeApi
let play: (turn: FakeTurn) => Promise<void>

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aicm-terminal-'))
  api = await startFakeApi({ play: (turn) => play(turn), users: { admin: 'secret' } })
})
afterEach(async () => {
  await api[Symbol.asyncDispose]()
  await rm(home, { recursive: true })
})

const terminal = (env: Record<string, string> = {}) => {
  const raw: boolean[] = []
  const tty = () => Object.assign(new PassThrough(), { isTTY: true })
  const stdin = Object.assign(tty(), { setRawMode: (on: boolean) => raw.push(on) })
  const [stdout, stderr] = [tty(), tty()]
  const texts = { out: '', err: '', all: '' }
  for (const [name, stream] of [
    ['out', stdout],
    ['err', stderr],
  ] as const)
    stream.setEncoding('utf8').on('data', (piece: string) => {
      texts[name] += piece
      texts.all += piece
    })
  const signals = new Map<string, Set<() => void>>()
  const io: Io = {
    env: { HOME: home, AICM_SERVER: api.url, ...env },
    stdin,
    stdout,
    stderr,
    onSignal: (signal, handler) => {
      const handlers = signals.get(signal) ?? new Set()
      signals.set(signal, handlers.add(handler))
      return () => handlers.delete(handler)
    },
  }
  const says = async (text: string) => await expect.poll(() => texts.all, { timeout: 20_000 }).toContain(text)
  const interrupt = () => {
    for (const handler of signals.get('SIGINT') ?? []) handler()
  }
  return { io, stdin, raw, texts, says, interrupt }
}

const logIn = async () => {
  const { io, stdin } = terminal()
  stdin.end('secret')
  expect(await runCli(['login', '--password-stdin'], io)).toBe(0)
}

const asking = async (turn: FakeTurn) => {
  const states = []
  for (const command of ['ls -la', 'rm -rf /']) states.push(await api.ask(turn, { tool: 'Bash', input: { command } }))
  const { session, turnId } = turn
  session.store({ type: 'text', turnId, block: turnId, text: states.join(', ') })
  session.store({ type: 'complete', turnId, result: 'success', reason: 'completed' })
}

test('the password is asked for, not shown, and can be corrected', async () => {
  const { io, stdin, raw, texts, says } = terminal()
  const done = runCli(['login'], io)
  await says('Password of admin at')
  stdin.write('wrong\u0015secrex\u007ft\r')
  expect(await done).toBe(0)
  expect(texts.all).not.toContain('secr')
  expect(raw).toEqual([true, false])
})

test('Ctrl-C at the password leaves', async () => {
  const { io, stdin, says } = terminal()
  const done = runCli(['login'], io)
  await says('Password')
  stdin.write('\u0003')
  expect(await done).toBe(130)
})

test('a permission is asked for on the terminal and the typed answer counts', async () => {
  await logIn()
  play = asking
  const { io, stdin, texts, says } = terminal({ NO_COLOR: '1' })
  const done = runCli(['run', 'x'], io)
  await says('Allow Bash: ls -la? [y]es / [n]o / [a]lways')
  stdin.write('perhaps\n')
  await says('Please answer y, n or a.')
  stdin.write('y\n')
  await says('Allow Bash: rm -rf /?')
  stdin.write('N\n')
  expect(await done).toBe(0)
  expect(texts.out).toContain('allowed, denied')
})

test('a permission that was answered elsewhere is no longer asked for', async () => {
  await logIn()
  play = asking
  const { io, texts, says } = terminal({ NO_COLOR: '1' })
  const done = runCli(['run', 'x'], io)
  for (const command of ['ls -la', 'rm -rf /']) {
    await says(`Allow Bash: ${command}?`)
    const open = [...api.approvals.values()].find(({ state }) => state === 'pending')
    expect(await runCli(['approve', open?.id ?? ''], terminal().io)).toBe(0)
  }
  expect(await done).toBe(0)
  expect(texts.out).toContain('allowed, allowed')
})

test('on a terminal the answer is inert, though it comes in pieces', async () => {
  await logIn()
  const answer = 'safe \u001b[31mred\u001b[0m \u001b]52;c;AAAA\u0007text \u009b2J😀'
  play = async ({ session, turnId }) => {
    for (const piece of answer.split('')) session.grow({ block: 'b', text: piece, turnId })
    session.store({ type: 'text', turnId, block: 'b', text: answer })
    session.store({
      type: 'tool_use',
      turnId,
      block: 'c',
      toolUseId: 't',
      name: 'Ba\u001b[2Jsh',
      input: { command: '\u001b[1mls' },
    })
    session.store({ type: 'complete', turnId, result: 'success', reason: 'completed' })
  }
  const { io, texts } = terminal({ NO_COLOR: '1' })
  expect(await runCli(['run', 'x'], io)).toBe(0)
  expect(texts.out).toBe('safe red text 😀\n')
  expect(texts.err).toBe('→ Bash: ls\n')
  expect(texts.all).toBe('safe red text 😀\n→ Bash: ls\n')
})

test('colours are for terminals that want them', async () => {
  await logIn()
  play = async () => {}
  for (const [env, flags, coloured] of [
    [{}, [], true],
    [{ NO_COLOR: '1' }, [], false],
    [{ TERM: 'dumb' }, [], false],
    [{}, ['--no-color'], false],
  ] as const) {
    const { io, texts } = terminal(env)
    expect(await runCli(['health', ...flags], io)).toBe(0)
    expect(texts.out.startsWith('\u001b[32mok')).toBe(coloured)
  }
})

test('in an attached session typed lines are prompts, and Ctrl-C interrupts before it leaves', async () => {
  await logIn()
  const { info } = api.createSession()
  play = async ({ session, turnId, text, interrupted }) => {
    session.grow({ block: turnId, text: `Busy with ${text}`, turnId })
    if (text === 'long') await new Promise((resolve) => interrupted.addEventListener('abort', resolve))
    session.store({ type: 'text', turnId, block: turnId, text: `Busy with ${text}` })
    session.store({ type: 'complete', turnId, result: text === 'long' ? 'interrupted' : 'success', reason: 'x' })
  }
  const { io, stdin, texts, says, interrupt } = terminal({ NO_COLOR: '1' })
  const done = runCli(['attach', info.id], io)
  await says('type a prompt')
  stdin.write('short\n\n')
  await says('Busy with short')
  stdin.write('long\n')
  await says('Busy with long')
  interrupt()
  await says('interrupted')
  interrupt()
  expect(await done).toBe(0)
  expect(texts.out).not.toContain('> short')
})

test('the end of input leaves an attached session', async () => {
  await logIn()
  const { info } = api.createSession()
  const { io, stdin, says } = terminal()
  const done = runCli(['attach', info.id], io)
  await says('type a prompt')
  stdin.end()
  expect(await done).toBe(0)
})
