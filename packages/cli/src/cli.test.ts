import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startFakeApi, type FakeApi, type FakeTurn } from '../../testing/src/fake-api/fake-api.ts'
import { startAicm } from './aicm-process.ts'

let home: string
let api: FakeApi
let play: (turn: FakeTurn) => Promise<void>

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aicm-cli-'))
  play = sayBack
  api = await startFakeApi({ play: (turn) => play(turn) })
})
afterEach(async () => {
  await api[Symbol.asyncDispose]()
  await rm(home, { recursive: true })
})

const start = (
  args: string[],
  options: { env?: Record<string, string>; input?: string | null; server?: string } = {},
) => startAicm(args, { home, ...options, env: { AICM_SERVER: options.server ?? api.url, ...options.env } })
const aicm = (args: string[], options: Parameters<typeof start>[1] = {}) => start(args, options).done

const sayBack = async ({ session, turnId, text }: FakeTurn) => {
  const answer = `You said: ${text}`
  for (let at = 0; at < answer.length; at += 4) session.grow({ block: turnId, text: answer.slice(at, at + 4), turnId })
  session.store({ type: 'text', turnId, block: turnId, text: answer })
  session.store({ type: 'complete', turnId, result: 'success', reason: 'completed' })
}

const untilInterrupted = async ({ session, turnId, interrupted }: FakeTurn) => {
  session.grow({ block: 'b', text: 'Working on it', turnId })
  await new Promise((resolve) => interrupted.addEventListener('abort', resolve))
  session.store({ type: 'text', turnId, block: 'b', text: 'Working on it', partial: true })
  session.store({ type: 'complete', turnId, result: 'interrupted', reason: 'aborted_streaming' })
}

test('the answer goes to stdout, what happens on the way to stderr, the result into the exit code', async () => {
  play = async ({ session, turnId }) => {
    session.store({ type: 'text', turnId, block: 'a', text: 'Let me look.' })
    session.store({ type: 'tool_use', turnId, block: 'b', toolUseId: 't', name: 'Bash', input: { command: 'ls -la' } })
    session.store({ type: 'tool_result', turnId, toolUseId: 't', content: 'a\nb\nc', isError: false })
    session.store({ type: 'progress', turnId, kind: 'api_retry', text: 'The API is busy' })
    session.store({ type: 'text', turnId, block: 'c', text: 'Three files.\n' })
    session.store({ type: 'complete', turnId, result: 'success', reason: 'completed' })
  }
  const { code, stdout, stderr } = await aicm(['run', 'what', 'is', 'here?'])
  expect(stdout).toBe('Let me look.\n\nThree files.\n')
  expect(stderr).toBe('→ Bash: ls -la\n  ✓ a (+2 lines)\n… The API is busy\n')
  expect(code).toBe(0)
  expect([...api.sessions.values()].map(({ info }) => info.status)).toEqual(['closed'])
})

test('a turn that fails is exit code 1 and says why', async () => {
  play = async ({ session, turnId }) => {
    session.store({ type: 'complete', turnId, result: 'error', reason: 'api_error', text: 'API Error: overloaded' })
  }
  const { code, stdout, stderr } = await aicm(['run', 'x'])
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toBe('failed: API Error: overloaded (api_error)\n')
})

test('the prompt is made of the arguments and of stdin', async () => {
  expect((await aicm(['run', 'Review', 'this'], { input: 'diff --git\n' })).stdout).toBe(
    'You said: Review this\n\ndiff --git\n',
  )
  expect((await aicm(['run'], { input: 'only stdin' })).stdout).toBe('You said: only stdin\n')
  expect(await aicm(['run'], { input: '' })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('The prompt is empty.'),
  })
})

test('a pipe that nobody writes to does not hold up a prompt for ever', async () => {
  const { code, stdout, stderr } = await aicm(['run', 'x'], { input: null })
  expect([code, stdout]).toEqual([0, 'You said: x\n'])
  expect(stderr).toContain('Nothing came on stdin')
})

test('--json is every item of the stream, one a line', async () => {
  play = async (turn) => {
    await expect.poll(() => turn.session.listeners.size).toBe(1)
    await sayBack(turn)
  }
  const { code, stdout, stderr } = await aicm(['run', '--json', 'x'])
  const items = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(items.map(({ type }) => type)).toEqual(['prompt', 'status', 'delta', 'delta', 'delta', 'text', 'complete'])
  expect([code, stderr]).toEqual([0, ''])
})

test('--keep leaves the session open, and -s goes on in it by the beginning of its id', async () => {
  const first = await aicm(['run', '--keep', '--model', 'opus', '--permission-mode', 'plan', 'one'])
  const [session] = api.sessions.values()
  expect(first.stderr).toBe(`session ${session?.info.id}\n`)
  expect(session?.info).toMatchObject({ status: 'idle', model: 'opus', permissionMode: 'plan' })
  const second = await aicm(['run', '-s', session?.info.id.slice(0, 20) ?? '', 'two'])
  expect([second.code, second.stdout]).toEqual([0, 'You said: two\n'])
  expect(api.sessions.size).toBe(1)
  expect(session?.info.status).toBe('idle')
})

test('Ctrl-C interrupts the turn, which ends the command with its result', async () => {
  play = untilInterrupted
  const run = start(['run', 'x'])
  await run.says('Working on it')
  run.child.kill('SIGINT')
  const { code, stdout, stderr } = await run.done
  expect([code, stdout]).toEqual([1, 'Working on it\n'])
  expect(stderr).toContain('interrupted')
})

test('a second Ctrl-C leaves at once, and a one-shot session is closed behind it', async () => {
  play = async ({ session, turnId }) => {
    session.grow({ block: 'b', text: 'Deaf', turnId })
    await new Promise(() => {})
  }
  const run = start(['run', 'x'])
  await run.says('Deaf')
  run.child.kill('SIGINT')
  await run.says('Ctrl-C again leaves')
  run.child.kill('SIGINT')
  expect(await run.done).toMatchObject({ code: 130, signal: null })
  expect([...api.sessions.values()].map(({ info }) => info.status)).toEqual(['closed'])
})

test('SIGTERM leaves with 143', async () => {
  play = untilInterrupted
  const run = start(['run', 'x'])
  await run.says('Working on it')
  run.child.kill('SIGTERM')
  expect(await run.done).toMatchObject({ code: 143 })
})

test('an approval that nobody here can answer says how to answer it elsewhere', async () => {
  play = async (turn) => {
    const state = await api.ask(turn, { tool: 'Bash', input: { command: 'ls \u001b[2J-la' } })
    turn.session.store({
      type: 'complete',
      turnId: turn.turnId,
      result: state === 'allowed' ? 'success' : 'error',
      reason: 'x',
    })
  }
  const run = start(['run', 'x'])
  await run.says('aicm approve apr_')
  const [approval] = api.approvals.values()
  expect(run.stderr()).toContain('Waiting for an approval: Allow Bash: ls -la?\n')

  const list = await aicm(['approve'])
  expect(list.stdout).toMatch(new RegExp(`^ID .*\n${approval?.id} .* Bash +ls -la\n$`))
  expect(await aicm(['approve', '--deny'])).toMatchObject({ code: 2 })
  expect(await aicm(['approve', approval?.id ?? '', '--message', 'no'])).toMatchObject({ code: 2 })
  expect(await aicm(['approve', approval?.id.slice(0, 12) ?? ''])).toMatchObject({
    code: 0,
    stdout: 'allowed: Bash: ls -la\n',
  })
  expect(await run.done).toMatchObject({ code: 0 })
  const late = await aicm(['approve', approval?.id ?? '', '--json'])
  expect([late.code, JSON.parse(late.stderr).error.code]).toEqual([1, 'approval_already_answered'])
  expect(await aicm(['approve'])).toMatchObject({ code: 0, stdout: '', stderr: 'No open approvals.\n' })
})

test('a server that is not there is exit code 3 and a hint', async () => {
  const server = api.url
  await api[Symbol.asyncDispose]()
  for (const args of [['health'], ['run', 'x'], ['sessions', 'ls'], ['login', '--password-stdin']]) {
    const { code, stderr } = await aicm(args, { server, input: 'secret\n' })
    expect([args[0], code]).toEqual([args[0], 3])
    expect(stderr).toContain(`error: Cannot reach the server at ${server} (ECONNREFUSED). (unreachable)\n`)
    expect(stderr).toContain('aicm up')
  }
  api = await startFakeApi()
})

test('logging in is remembered for that server alone, in a file of mode 0600', async () => {
  await using locked = await startFakeApi({ users: { admin: 'secret' } })
  const server = locked.url
  const before = await aicm(['sessions'], { server })
  expect([before.code, before.stderr]).toEqual([3, expect.stringContaining('run: aicm login')])
  const json = await aicm(['sessions', '--json'], { server })
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'unauthorized', hint: 'run: aicm login' } })

  expect(await aicm(['login', '--password-stdin'], { server, input: 'guess' })).toMatchObject({ code: 3 })
  expect(await aicm(['login'], { server })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--password-stdin'),
  })
  const login = await aicm(['login', '--password-stdin', '--server', `${server}/`], { input: 'secret\n' })
  expect(login).toMatchObject({ code: 0, stdout: `Logged in to ${server} as admin.\n`, stderr: '' })
  expect(await aicm(['sessions'], { server })).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringContaining('No sessions'),
  })
  // The server of the last login is the default from then on.
  expect(await aicm(['health'], { env: { AICM_SERVER: '' } })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(server),
  })

  await using other = await startFakeApi({ users: { admin: 'secret' } })
  expect(await aicm(['health'], { server: other.url })).toMatchObject({ code: 3 })
  const { accounts } = JSON.parse(await readFile(join(home, '.config', 'aicm', 'config.json'), 'utf8'))
  const token = accounts[server].accessToken
  expect(await aicm(['health', '--token', token], { server })).toMatchObject({ code: 0 })
  expect(await aicm(['health'], { server, env: { AICM_TOKEN: 'wrong' } })).toMatchObject({ code: 3 })
})

test('sessions are listed, shown and deleted', async () => {
  const first = api.createSession({ name: 'first \u001b[31mred' })
  const second = api.createSession({ name: 'second', status: 'closed' })
  const list = await aicm(['sessions', 'ls'])
  expect(list.stdout.split('\n')).toEqual([
    expect.stringMatching(/^ID +STATUS +CHANGED +WORKSPACE +NAME$/),
    expect.stringMatching(new RegExp(`^${first.info.id}  idle +\\d+ s ago  workspace-1  first red$`)),
    expect.stringMatching(new RegExp(`^${second.info.id}  closed +\\d+ s ago  workspace-2  second$`)),
    '',
  ])
  const closed = await aicm(['sessions', 'ls', '--status', 'closed', '--json'])
  expect(JSON.parse(closed.stdout)).toMatchObject([{ id: second.info.id }])
  expect(JSON.parse((await aicm(['--json', 'sessions', '-n', '1'])).stdout)).toHaveLength(1)
  const shown = (await aicm(['sessions', 'show', first.info.id.slice(4, 20)])).stdout
  expect(shown).toContain('permission mode  default\n')
  expect(shown).toMatch(/^memory +200 MB, once 300 MB, at most 1024 MB, 2 ended for lack of it$/m)
  expect(shown).toMatch(/^CPU +1\.3 s, no limit$/m)
  expect(shown).toMatch(/^processes +17 with threads, at most 512$/m)
  expect(await aicm(['sessions', 'rm', first.info.id, 'nonsense'])).toMatchObject({
    code: 1,
    stderr: 'error: No session begins with "nonsense". (session_not_found)\nSee: aicm sessions ls\n',
  })
  expect(await aicm(['sessions', 'show', 'ses_'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Give more of it.'),
  })
  expect(await aicm(['sessions', 'rm', first.info.id, second.info.id])).toMatchObject({ code: 0 })
  expect(api.sessions.size).toBe(0)
})

test('workspaces are created, used by name, listed and deleted', async () => {
  expect(await aicm(['workspaces', 'create', 'app', '--git', 'https://example.test/app.git'])).toMatchObject({
    code: 0,
  })
  expect(await aicm(['workspaces', 'create', 'app'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('workspace_exists'),
  })
  expect(await aicm(['workspaces', 'create', 'x', '--git', 'u', '--path', '/p'])).toMatchObject({ code: 2 })
  expect(await aicm(['run', '-w', 'app', 'x'])).toMatchObject({ code: 0 })
  const [workspace] = api.workspaces
  expect([...api.sessions.values()][0]?.info.workspaceId).toBe(workspace?.id)
  expect((await aicm(['workspaces', 'ls'])).stdout).toContain(`app   ${workspace?.id}  ready`)
  expect(await aicm(['workspaces', 'rm', 'app'])).toMatchObject({ code: 0, stdout: 'Deleted app.\n' })
  expect(await aicm(['workspaces', 'rm', 'app'])).toMatchObject({ code: 1 })
})

test('interrupt and close act on a session', async () => {
  play = untilInterrupted
  const run = start(['run', '--keep', 'x'])
  await run.says('Working on it')
  const [session] = api.sessions.values()
  const id = session?.info.id ?? ''
  expect(await aicm(['interrupt', id])).toMatchObject({ code: 0, stdout: expect.stringContaining('Interrupted turn') })
  expect(await run.done).toMatchObject({ code: 1 })
  expect(await aicm(['interrupt', id])).toMatchObject({ code: 1, stderr: expect.stringContaining('(no_turn_running)') })
  expect(await aicm(['close', id])).toMatchObject({ code: 0, stdout: `Closed ${id}.\n` })
  expect(await aicm(['run', '-s', id, 'y'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('(session_closed)'),
  })
})

test('attach replays a session and ends with it', async () => {
  await aicm(['run', '--keep', 'one'])
  const [session] = api.sessions.values()
  const id = session?.info.id ?? ''
  const attached = start(['attach', id])
  await attached.says('You said: one')
  await aicm(['run', '-s', id, 'two'])
  await attached.says('You said: two')
  await aicm(['close', id])
  const { code, stdout } = await attached.done
  expect([code, stdout]).toEqual([0, '> one\n\nYou said: one\n\n> two\n\nYou said: two\n'])
  expect((await aicm(['attach', id])).stdout).toBe(stdout)
})

test('Ctrl-C leaves an attached session that does nothing, and ends nothing', async () => {
  const { info } = api.createSession()
  const attached = start(['attach', info.id])
  await attached.says('Following')
  await expect.poll(() => api.sockets.open.size).toBe(1)
  attached.child.kill('SIGINT')
  expect(await attached.done).toMatchObject({ code: 0 })
  expect(info.status).toBe('idle')
})

test('a reader that goes away ends the command quietly', async () => {
  play = async ({ session, turnId, interrupted }) => {
    for (let count = 0; !interrupted.aborted && session.info.status !== 'closed'; count += 1) {
      session.grow({ block: 'b', text: `${count} `, turnId })
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  const run = start(['run', 'x'])
  await run.says('0 1 2')
  run.child.stdout?.destroy()
  expect(await run.done).toMatchObject({ code: 0, stderr: '' })
})

test('health says what it is and returns 1 when something is wrong', async () => {
  const well = await aicm(['health'])
  expect(well).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^ok\n[^]*model API +demo: the real Claude CLI answers from a built-in script/),
  })
  expect(well.stdout).toMatch(
    /memory +3\.7 GB of 7\.5 GB available, pressure: none\n *disk +37\.3 GB of 74\.5 GB available\n/,
  )
  await using ill = await startFakeApi({ health: { status: 'degraded', reasons: ['The disk is nearly full.'] } })
  const { code, stdout } = await aicm(['health'], { server: ill.url })
  expect([code, stdout.split('\n').slice(0, 2)]).toEqual([1, ['degraded', '  The disk is nearly full.']])
})

test.each([
  [['nonsense'], 'unknown command'],
  [['run', '--nonsense', 'x'], 'unknown option'],
  [['run', '--permission-mode', 'x', 'y'], 'Allowed choices'],
  [['sessions', 'ls', '--limit', '0'], 'whole number'],
  [['attach'], 'missing required argument'],
  [['health', '--server', 'ftp://x'], 'no address of a server'],
  [['run', '-s', 'a', '-w', 'b', 'x'], 'has its workspace already'],
])('%j is wrong usage: exit code 2', async (args, text) => {
  const { code, stdout, stderr } = await aicm(args)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain(text)
  const json = await aicm([...args, '--json'])
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'usage' } })
})

test('help and version need no server', async () => {
  expect(await aicm(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('aicm attach'), stderr: '' })
  expect(await aicm(['run', '--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('--permission-mode') })
  expect(await aicm(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  expect(await aicm([])).toMatchObject({ code: 2, stderr: expect.stringContaining('Usage: aicm') })
})
