import { existsSync } from 'node:fs'
import { appendFile, chmod, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Message, StreamItem } from '@aicm/protocol'
import { fakeTokens } from '@aicm/testing/fake-claude'
import { markerOf, newTurnId, openSessionNode, type SessionServer } from '@aicm/testing/session-node'
import { findProcesses } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { expect, test, vi } from 'vitest'
import { markerName } from '../claude/start.ts'
import { AppError } from '../lib/app-error.ts'
import { processesWithMarker } from '../process/identity.ts'
import { killMarked } from '../process/tree.ts'
import type { Session } from './session.ts'
import type { Shortage } from './slots.ts'

/** What a client knows of a session. */
type Seen = { messages: Message[]; blocks: Map<string, string> }

const gist = (message: Message): string =>
  message.type === 'status' ? message.status : message.type === 'error' ? `error ${message.code}` : message.type

/** Follows a session from its beginning until `enough`. Checks on the way that nothing is missing or comes twice. */
const until = async (session: Session, enough: (seen: Seen) => boolean): Promise<Seen> => {
  const seen: Seen = { messages: [], blocks: new Map() }
  const take = (item: StreamItem): void => {
    if (item.type !== 'delta') {
      expect(item.seq).toBe(seen.messages.length + 1)
      seen.messages.push(item)
      return
    }
    const before = seen.blocks.get(item.block) ?? ''
    expect(item.at).toBeLessThanOrEqual(before.length)
    seen.blocks.set(item.block, before.slice(0, item.at) + item.text)
  }
  const tooLong = AbortSignal.timeout(20_000)
  for await (const { items } of session.follow({ seq: 0 }, tooLong)) {
    for (const item of items) take(item)
    if (enough(seen)) return seen
  }
  throw new Error(
    `it never came to that: ${seen.messages.map(gist).join(' ')}; ${JSON.stringify(session.record().state)}`,
  )
}

const ofType = <T extends Message['type']>({ messages }: Seen, type: T) =>
  messages.filter((message): message is Extract<Message, { type: T }> => message.type === type)
const completed = (turnId: string) => (seen: Seen) =>
  ofType(seen, 'complete').some((message) => message.turnId === turnId)
const hasStatus = (status: string) => (seen: Seen) =>
  ofType(seen, 'status').some((message) => message.status === status)
const longest = ({ blocks }: Seen): string => [...blocks.values()].toSorted((a, b) => b.length - a.length)[0] ?? ''
const growing = (length: number) => (seen: Seen) => longest(seen).length >= length
const wholeTexts = (seen: Seen): string[] =>
  ofType(seen, 'text').flatMap(({ text, partial }) => (partial === true ? [] : [text]))

/** Sends a prompt; resolves when it was accepted. */
const prompt = async (session: Session, text: string, turnId = newTurnId()): Promise<string> => {
  await session.execute({ turnId, content: [{ type: 'text', text }], userId: 'usr' })
  return turnId
}

/** Sessions and spares of a node that have a process. */
const runningIn = (dir: string): number => {
  const mine = findProcesses(({ environment }) => environment.some((text) => text.startsWith(`HOME=${dir}/`)))
  const markers = mine.flatMap(({ environment }) => environment.filter((text) => text.startsWith(`${markerName}=`)))
  return new Set(markers).size
}

/** What must hold of every log, whatever happened. */
const checkLog = (messages: Message[]): void => {
  const turns = (type: Message['type']) =>
    messages.filter((message) => message.type === type).map(({ turnId }) => turnId)
  expect(new Set(turns('prompt')).size).toBe(turns('prompt').length)
  expect(new Set(turns('complete')).size).toBe(turns('complete').length)
  const blocks = messages.flatMap((message) => ('block' in message ? [message.block] : []))
  expect(new Set(blocks).size).toBe(blocks.length)
}

test('a prompt is answered: its text grows, is told whole, and the turn completes', async () => {
  await using node = await openSessionNode()
  const server = node.serve()
  const session = await server.create()
  const turnId = await prompt(session, '@think(20) @tokens(2000)')
  const seen = await until(session, completed(turnId))
  expect(seen.messages.map(gist)).toEqual([
    'prompt',
    'idle',
    'running',
    'metadata',
    'thinking',
    'text',
    'complete',
    'idle',
  ])
  expect(wholeTexts(seen)).toEqual([fakeTokens(2000)])
  expect(ofType(seen, 'complete')).toMatchObject([
    { result: 'success', reason: 'completed', text: fakeTokens(2000), numTurns: 2 },
  ])
  expect(session.record().state).toMatchObject({ status: 'idle', process: 'ready', turns: 1, costUsd: 0.001 })
  expect(server.errors).toEqual([])
})

test('its environment holds what it needs, and nothing of the server’s', async () => {
  await using node = await openSessionNode()
  process.env.AICM_TEST_CANARY = 'secret'
  try {
    const session = await node.serve().create()
    const turnId = await prompt(session, '@env')
    const environment: Record<string, string> = JSON.parse(wholeTexts(await until(session, completed(turnId)))[0] ?? '')
    const names = new Set(Object.keys(environment)).difference(new Set(['PWD', 'OLDPWD', 'SHLVL', '_']))
    expect([...names].toSorted()).toEqual(
      [
        ...['AICM_PROCESS', 'ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL', 'ANTHROPIC_UNIX_SOCKET', 'CLAUDE_CODE_TMPDIR'],
        ...['CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC', 'CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS', 'CLAUDE_CONFIG_DIR'],
        ...['DISABLE_AUTOUPDATER', 'DISABLE_ERROR_REPORTING', 'DISABLE_TELEMETRY', 'HOME', 'LANG', 'LOGNAME', 'PATH'],
        ...['SHELL', 'TERM', 'TMPDIR', 'USER'],
      ].toSorted(),
    )
    expect(environment).toMatchObject({
      ANTHROPIC_API_KEY: 'token',
      HOME: join(node.dir, 'users', session.record().userId, 'home'),
    })
    expect(JSON.stringify(environment)).not.toContain('secret')
  } finally {
    delete process.env.AICM_TEST_CANARY
  }
})

test('prompts run one after the other, in the order in which they were accepted', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turns: string[] = []
  for (let count = 0; count < 10; count++) turns.push(await prompt(session, `@text(answer ${count})`))
  const seen = await until(session, completed(turns.at(-1) ?? ''))
  expect(wholeTexts(seen)).toEqual(turns.map((_, index) => `answer ${index}`))
  expect(ofType(seen, 'complete').map(({ turnId }) => turnId)).toEqual(turns)
  expect(session.record().state.generation).toBe(1)
})

test('the same prompt sent again, also many times at once, is one turn; another text under its id is refused', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = newTurnId()
  const send = (text: string) => session.execute({ turnId, content: [{ type: 'text', text }], userId: 'usr' })
  const accepted = await Promise.all(Array.from({ length: 20 }, () => send('@tokens(5)')))
  expect(new Set(accepted.map(({ seq }) => seq)).size).toBe(1)
  await expect(send('something else')).rejects.toMatchObject({ code: 'turn_conflict' })
  await until(session, completed(turnId))
  expect(await send('@tokens(5)')).toEqual(accepted[0])
  const other = await prompt(session, '@tokens(1)')
  checkLog((await until(session, completed(other))).messages)
})

test('a running turn is interrupted, and keeps what was said until then', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tokens(100000,5)')
  await until(session, growing(20))
  expect(await session.interrupt()).toEqual({ turnId })
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'complete')).toMatchObject([
    { result: 'interrupted', reason: 'aborted_streaming', text: undefined },
  ])
  expect(fakeTokens(100_000).startsWith(wholeTexts(seen)[0] ?? 'nothing')).toBe(true)
  const next = await prompt(session, '@tokens(2)')
  expect(wholeTexts(await until(session, completed(next))).at(-1)).toBe('tok0 tok1')
})

test('an interrupt that comes right behind its prompt ends the turn too', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  await until(session, hasStatus('idle'))
  const turnId = await prompt(session, '@tokens(100000,20)')
  await session.interrupt()
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'complete')).toMatchObject([{ result: 'interrupted' }])
})

test('an interrupt before claude is there to hear it ends the turn at once', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create({ model: 'fake-slow-start' })
  const first = await prompt(session, '@exit(0)')
  await until(
    session,
    (seen) => completed(first)(seen) && ofType(seen, 'progress').some(({ kind }) => kind === 'process_ended'),
  )
  const second = await prompt(session, '@tokens(3)')
  const third = await prompt(session, '@tokens(4)')
  await session.interrupt()
  const seen = await until(session, completed(third))
  expect(ofType(seen, 'complete').map(({ turnId, result, reason }) => [turnId, result, reason])).toEqual([
    [first, 'success', 'completed'],
    [second, 'interrupted', 'interrupted_before_start'],
    [third, 'success', 'completed'],
  ])
})

test('an interrupt while a tool waits for permission withdraws the question', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tool(Bash,{"command":"ls"}) @tokens(3)')
  const asked = await until(session, (seen) => ofType(seen, 'approval').length > 0)
  await session.interrupt()
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'approval').map(({ state }) => state)).toEqual(['pending', 'withdrawn'])
  expect(ofType(seen, 'complete')).toMatchObject([{ result: 'interrupted', reason: 'aborted_tools' }])
  const [{ approvalId } = { approvalId: '' }] = ofType(asked, 'approval')
  const late = session.answer({ approvalId, decision: { decision: 'allow' }, userId: 'me' })
  await expect(late).rejects.toMatchObject({ code: 'approval_already_answered' })
})

test('a tool runs once it is allowed, and does not when it is denied', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tool(Bash,{"command":"ls"}) @tool(Write,{"file_path":"a"}) @tokens(3)')
  const pending = (count: number) => (seen: Seen) =>
    ofType(seen, 'approval').filter(({ state }) => state === 'pending').length === count
  const first = ofType(await until(session, pending(1)), 'approval')[0]
  expect(first).toMatchObject({ tool: 'Bash', input: { command: 'ls' }, canRemember: true })
  await session.answer({ approvalId: first?.approvalId ?? '', decision: { decision: 'allow' }, userId: 'me' })
  const second = ofType(await until(session, pending(2)), 'approval').at(-1)
  await session.answer({
    approvalId: second?.approvalId ?? '',
    decision: { decision: 'deny', message: 'not that one' },
    userId: 'me',
  })
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'approval').map(({ tool, state }) => `${tool} ${state}`)).toEqual([
    ...['Bash pending', 'Bash allowed', 'Write pending', 'Write denied'],
  ])
  expect(ofType(seen, 'tool_result').map(({ content, isError }) => [content, isError])).toEqual([
    ['Bash ran.', false],
    ['not that one', true],
  ])
  expect(ofType(seen, 'complete')).toMatchObject([{ result: 'success', text: fakeTokens(3) }])
  expect(session.record().state.approvals).toEqual([])
})

test('claude dies in the middle of an answer: the prompt runs again, and its text is complete', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tokens(5000) @crash-once(SIGKILL)')
  const next = await prompt(session, '@text(and on)')
  const seen = await until(session, completed(next))
  expect(ofType(seen, 'status').map(({ status }) => status)).toEqual([
    ...['idle', 'running', 'error', 'recovering', 'idle', 'running', 'idle', 'running', 'idle'],
  ])
  expect(ofType(seen, 'error')).toMatchObject([
    { code: 'process_crashed', turnId, message: expect.stringContaining('SIGKILL') },
  ])
  expect(ofType(seen, 'text').map(({ text, partial }) => [text, partial ?? false])).toEqual([
    [fakeTokens(5000), true],
    [fakeTokens(5000), false],
    ['and on', false],
  ])
  expect(ofType(seen, 'complete').map(({ result }) => result)).toEqual(['success', 'success'])
  expect(session.record().state).toMatchObject({ generation: 2, failures: 0 })
  checkLog(seen.messages)
})

test('claude dies after a tool has run: the turn goes on from there, and the tool does not run twice', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tool(Bash,{}) @crash-once(SIGKILL) @tokens(3)')
  const [asked] = ofType(await until(session, (seen) => ofType(seen, 'approval').length > 0), 'approval')
  await session.answer({ approvalId: asked?.approvalId ?? '', decision: { decision: 'allow' }, userId: 'me' })
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'progress').map(({ kind }) => kind)).toContain('continued')
  expect(ofType(seen, 'tool_result')).toHaveLength(1)
  expect(ofType(seen, 'complete')).toMatchObject([
    { turnId, result: 'success', text: expect.stringContaining('Go on from where it stopped') },
  ])
})

test('a question that was open when claude died is withdrawn and asked again', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tool(Bash,{}) @tokens(3)')
  await until(session, (seen) => ofType(seen, 'approval').length === 1)
  const [pid] = await processesWithMarker(markerOf(session))
  process.kill(pid ?? 0, 'SIGKILL')
  const again = ofType(await until(session, (seen) => ofType(seen, 'approval').length === 3), 'approval')
  expect(again.map(({ state }) => state)).toEqual(['pending', 'withdrawn', 'pending'])
  await session.answer({ approvalId: again[2]?.approvalId ?? '', decision: { decision: 'allow' }, userId: 'me' })
  expect(ofType(await until(session, completed(turnId)), 'complete')).toMatchObject([{ result: 'success' }])
})

test('a prompt that always kills claude ends after the retries, with the reason, and the session with it', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tokens(3) @crash(7)')
  const waiting = await prompt(session, '@tokens(1)')
  const seen = await until(session, hasStatus('closed'))
  expect(ofType(seen, 'complete').map((message) => [message.turnId, message.result, message.reason])).toEqual([
    [turnId, 'error', 'process_crashed'],
    [waiting, 'error', 'process_crashed'],
  ])
  expect(ofType(seen, 'error')).toHaveLength(4)
  expect(session.record().state).toMatchObject({
    status: 'closed',
    process: 'none',
    reason: expect.stringContaining('exit code 7'),
  })
})

test('a claude that cannot start closes the session after the retries, and says why', async () => {
  await using node = await openSessionNode()
  const exits = await node.serve().create({ model: 'fake-exit-at-start' })
  const turnId = await prompt(exits, 'hello')
  const seen = await until(exits, hasStatus('closed'))
  expect(ofType(seen, 'error')[0]).toMatchObject({
    code: 'start_failed',
    message: expect.stringContaining('told to end at its start'),
  })
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'error', reason: 'start_failed' }])
  await expect(prompt(exits, 'again')).rejects.toMatchObject({ code: 'session_closed' })

  await writeFile(node.program, 'no program')
  await chmod(node.program, 0o644)
  const unstartable = await node.serve().create()
  const reasons = ofType(await until(unstartable, hasStatus('closed')), 'error').map(({ message }) => message)
  expect(reasons.join()).toMatch(/permission denied/i)
})

test('a claude that hangs at its start is ended, and the session closed after the retries', async () => {
  await using node = await openSessionNode()
  const session = await node.serve({ limits: { startMs: 200 } }).create({ model: 'fake-hang-at-start' })
  const turnId = await prompt(session, 'hello')
  const seen = await until(session, hasStatus('closed'))
  expect(ofType(seen, 'error')[0]).toMatchObject({ code: 'start_timeout' })
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'error', reason: 'start_timeout' }])
})

test('a claude that ends between turns is started again for the next prompt, in the same conversation', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const first = await prompt(session, '@text(one) @exit(0)')
  await until(session, (seen) => completed(first)(seen) && session.record().state.process === 'none')
  const second = await prompt(session, '@text(two)')
  const seen = await until(session, completed(second))
  expect(ofType(seen, 'progress').map(({ kind }) => kind)).toEqual(['process_ended'])
  expect(ofType(seen, 'error')).toEqual([])
  expect(wholeTexts(seen)).toEqual(['one', 'two'])
  // Of ended processes nothing stays on disk.
  const folder = join(node.dir, 'sessions', session.record().id)
  expect((await readdir(folder)).toSorted()).toEqual(['2', 'tmp'])
})

test('what is no message of claude’s does not disturb the turn', async () => {
  await using node = await openSessionNode()
  const server = node.serve()
  const session = await server.create()
  const turnId = await prompt(session, '@garbage(5000) @long-line(9000000) @stderr(300000) @lines(300) @tokens(3)')
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'system').map(({ subtype }) => subtype)).toEqual(['unparsed', 'oversized'])
  expect(wholeTexts(seen)).toEqual([...Array.from({ length: 300 }, (_, line) => `line ${line}`), fakeTokens(3)])
  expect(ofType(seen, 'complete')).toMatchObject([{ result: 'success' }])
  expect(server.errors).toEqual([])
})

test('50,000 tokens as fast as claude can say them arrive without a gap', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@tokens(50000)')
  const [seen, other] = await Promise.all([until(session, completed(turnId)), until(session, completed(turnId))])
  expect(wholeTexts(seen)).toEqual([fakeTokens(50_000)])
  expect(other.messages).toEqual(seen.messages)
})

test('a change of the model reaches the running process', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  await until(session, completed(await prompt(session, '@tokens(1)')))
  await session.update({ model: 'another-model', permissionMode: 'plan' })
  const seen = await until(session, completed(await prompt(session, '@tokens(1)')))
  expect(ofType(seen, 'metadata').map(({ model, permissionMode }) => [model, permissionMode])).toEqual([
    ['claude-opus-5-5', 'default'],
    ['another-model', 'plan'],
  ])
})

test('a new server takes a turn over in the middle: the text is complete and nothing comes twice', async () => {
  await using node = await openSessionNode()
  const first = node.serve()
  const session = await first.create()
  const turnId = await prompt(session, '@tokens(200,3) @tokens(200,3)')
  const queued = await prompt(session, '@text(next)')
  await until(session, growing(200))
  await first.registry.release()

  const second = node.serve()
  expect(await second.registry.restore()).toEqual({ adopted: 1, swept: 0 })
  const adopted = await second.registry.get(session.record().id)
  const seen = await until(adopted, completed(queued))
  expect(wholeTexts(seen)).toEqual([fakeTokens(200), fakeTokens(200), 'next'])
  expect(ofType(seen, 'complete').map((message) => message.turnId)).toEqual([turnId, queued])
  expect(ofType(seen, 'error')).toEqual([])
  expect(adopted.record().state.generation).toBe(1)
  checkLog(seen.messages)
  expect([...first.errors, ...second.errors]).toEqual([])
})

test('a server that dies after any of its writes loses nothing', async () => {
  for (let writes = 0; writes < 14; writes++) {
    await using node = await openSessionNode()
    const first = node.serve()
    let left = writes
    let dies = (): void => {}
    const dead = new Promise<void>((resolve) => (dies = resolve))
    node.beforeAppend = async () => {
      if (left-- > 0) return
      first.kill()
      dies()
    }
    const turnId = newTurnId()
    const content = [{ type: 'text' as const, text: '@tokens(30,1) @tool(Bash,{}) @tokens(30,1) @text(end)' }]
    const send = async (to: Session) => to.execute({ turnId, content, userId: 'usr' }).catch(() => undefined)
    const allow = async (of: Session, signal: AbortSignal): Promise<void> => {
      for await (const { items } of of.follow({ seq: 0 }, signal))
        for (const item of items)
          if (item.type === 'approval' && item.state === 'pending')
            await of
              .answer({ approvalId: item.approvalId, decision: { decision: 'allow' }, userId: 'me' })
              .catch(() => undefined)
    }
    const done = new AbortController()
    const session = await first.create().catch(() => undefined)
    if (session !== undefined) {
      void send(session)
      void allow(session, done.signal)
      await Promise.race([dead, until(session, completed(turnId)).catch(() => undefined)])
    }
    node.beforeAppend = async () => {}
    first.kill()
    await first.registry.release()

    const second = node.serve()
    await second.registry.restore()
    // Where it died before the session was stored, nobody was told that there is one.
    const id = session?.record().id
    if (id === undefined) continue
    const adopted = await second.registry.get(id)
    // A client that has no answer sends again.
    await send(adopted)
    void allow(adopted, done.signal)
    const seen = await until(adopted, completed(turnId))
    expect(ofType(seen, 'complete'), `after ${writes} writes`).toMatchObject([{ result: 'success', text: 'end' }])
    expect(wholeTexts(seen), `after ${writes} writes`).toEqual([fakeTokens(30), fakeTokens(30), 'end'])
    checkLog(seen.messages)
    done.abort()
  }
})

test('a question that is open when the server goes is answered through the next one', async () => {
  await using node = await openSessionNode()
  const first = node.serve()
  const session = await first.create()
  const turnId = await prompt(session, '@tool(Bash,{}) @tokens(3)')
  const [asked] = ofType(await until(session, (seen) => ofType(seen, 'approval').length > 0), 'approval')
  await first.registry.release()
  const second = node.serve()
  await second.registry.restore()
  const adopted = await second.registry.get(session.record().id)
  await adopted.answer({ approvalId: asked?.approvalId ?? '', decision: { decision: 'allow' }, userId: 'me' })
  const seen = await until(adopted, completed(turnId))
  expect(ofType(seen, 'approval').map(({ state }) => state)).toEqual(['pending', 'allowed'])
  expect(ofType(seen, 'complete')).toMatchObject([{ result: 'success' }])
})

test('a claude that died while no server was there is replaced, and the turn is run', async () => {
  await using node = await openSessionNode()
  const first = node.serve()
  const session = await first.create()
  const turnId = await prompt(session, '@tokens(300,3)')
  await until(session, growing(100))
  await first.registry.release()
  for (const pid of await processesWithMarker(markerOf(session))) process.kill(pid, 'SIGKILL')
  const second = node.serve()
  await second.registry.restore()
  const adopted = await second.registry.get(session.record().id)
  const seen = await until(adopted, completed(turnId))
  expect(wholeTexts(seen)).toEqual([fakeTokens(300)])
  // What was shown before is not lost.
  expect(ofType(seen, 'text').filter(({ partial }) => partial)).toHaveLength(1)
  expect(adopted.record().state.generation).toBe(2)
  checkLog(seen.messages)
})

test('half a line that a dying server left in the pipe costs a process, but no prompt', async () => {
  await using node = await openSessionNode()
  const first = node.serve()
  const session = await first.create()
  await until(session, completed(await prompt(session, '@tokens(1)')))
  await first.registry.release()
  await appendFile(join(node.dir, 'sessions', session.record().id, '1', 'stdin.fifo'), '{"type":"user","mess')
  const second = node.serve()
  await second.registry.restore()
  const adopted = await second.registry.get(session.record().id)
  const turnId = await prompt(adopted, '@text(there)')
  const seen = await until(adopted, completed(turnId))
  expect(wholeTexts(seen).at(-1)).toBe('there')
  checkLog(seen.messages)
})

test('a storage that fails for a while refuses new prompts, and loses nothing of what claude says', async () => {
  await using node = await openSessionNode()
  const server = node.serve()
  const session = await server.create()
  const turnId = await prompt(session, '@tokens(100,3) @text(end)')
  await until(session, growing(50))
  let failures = 0
  node.beforeAppend = async () => {
    failures++
    throw new AppError('storage_unavailable', 'The disk is gone.')
  }
  const refused = newTurnId()
  await expect(prompt(session, '@tokens(1)', refused)).rejects.toMatchObject({ code: 'storage_unavailable' })
  // What claude says is offered again and again.
  while (failures < 3) await new Promise((resolve) => setImmediate(resolve))
  node.beforeAppend = async () => {}
  await prompt(session, '@text(accepted now)', refused)
  const seen = await until(session, completed(refused))
  expect(wholeTexts(seen)).toEqual([fakeTokens(100), 'end', 'accepted now'])
  expect(ofType(seen, 'complete').map((message) => message.turnId)).toEqual([turnId, refused])
  checkLog(seen.messages)
})

test('closing a session ends its turn and everything it had started', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@daemon(300) @ignore-term @tokens(100000,5)')
  await until(session, growing(20))
  const { record } = session
  // The wrapper, claude, and the daemon with its sleeper.
  expect((await processesWithMarker(markerOf(session))).length).toBeGreaterThan(3)
  await session.close('enough')
  const seen = await until(session, hasStatus('closed'))
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'interrupted', reason: 'session_closed' }])
  while (record().state.process !== 'none') await new Promise((resolve) => setImmediate(resolve))
  expect(await processesWithMarker(markerOf(session))).toEqual([])
})

test('closing a session while its process is being started leaves none behind', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create({ model: 'fake-slow-start' })
  await session.close('at once')
  while (session.record().state.process !== 'none') await new Promise((resolve) => setImmediate(resolve))
  expect(await processesWithMarker(`${markerName}=${session.record().id}/1`)).toEqual([])
})

test('deleting a session in any state ends its process and removes its files', async () => {
  for (const wait of ['no', 'until it is idle', 'until it talks'] as const) {
    await using node = await openSessionNode()
    const server = node.serve()
    const session = await server.create()
    const { id } = session.record()
    if (wait !== 'no') await until(session, hasStatus('idle'))
    if (wait === 'until it talks') {
      await prompt(session, '@daemon(300) @tokens(100000,5)')
      await until(session, growing(20))
    }
    await server.registry.delete(id)
    expect(await processesWithMarker(`${markerName}=${id}/1`)).toEqual([])
    expect(existsSync(join(node.dir, 'sessions', id))).toBe(false)
    await expect(server.registry.get(id)).rejects.toMatchObject({ code: 'session_not_found' })
    expect(await node.log(id)).toEqual([])
  }
})

test('a one-shot session closes and ends its process when its prompt is answered', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create({ oneShot: true })
  const turnId = await prompt(session, '@tokens(3)')
  const seen = await until(session, hasStatus('closed'))
  expect(completed(turnId)(seen)).toBe(true)
  while (session.record().state.process !== 'none') await new Promise((resolve) => setImmediate(resolve))
  expect(await processesWithMarker(markerOf(session))).toEqual([])
})

test('a session at rest has no process, is not kept in memory, and wakes up in the same conversation', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ rest: { idleMs: 0, closeMs: undefined }, unloadMs: 0 })
  const session = await server.create()
  const { id } = session.record()
  await until(session, completed(await prompt(session, '@text(one)')))
  await expect
    .poll(() => server.registry.tidy().then(() => server.registry.counts()))
    .toMatchObject({ live: 0, loaded: 0 })
  await expect(processesWithMarker(markerOf(session))).resolves.toEqual([])
  const woken = await server.registry.get(id)
  expect(woken).not.toBe(session)
  expect(woken.record().state).toMatchObject({ status: 'idle', process: 'none', generation: 1 })
  const seen = await until(woken, completed(await prompt(woken, '@text(two)')))
  expect(wholeTexts(seen)).toEqual(['one', 'two'])
  expect(woken.record().state).toMatchObject({ generation: 2, failures: 0 })
  expect(ofType(seen, 'error')).toEqual([])
})

test('a session that works, is asked something or is read is not put to sleep or unloaded', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ rest: { idleMs: 0, closeMs: undefined }, unloadMs: 0 })
  const session = await server.create()
  await prompt(session, '@tool(Bash,{})')
  await until(session, (seen) => ofType(seen, 'approval').length > 0)
  await server.registry.tidy()
  expect(session.record().state.process).toBe('ready')
  const reading = new AbortController()
  const reader = session.follow({ seq: 0 }, reading.signal)
  await reader.next()
  await session.interrupt()
  await until(session, (seen) => ofType(seen, 'complete').length > 0)
  await expect.poll(() => server.registry.tidy().then(() => session.record().state.process)).toBe('none')
  await server.registry.tidy()
  expect(server.registry.counts().loaded).toBe(1)
  reading.abort()
  await reader.return?.()
  await expect.poll(() => server.registry.tidy().then(() => server.registry.counts().loaded)).toBe(0)
})

const hour = 3600_000

for (const jump of [2 * hour, -2 * hour])
  test(`a clock that jumps by ${jump / hour} hours closes no session, neither while the server runs nor for the next server`, async () => {
    await using node = await openSessionNode()
    const now = performance.now.bind(performance)
    let elapsed = 0
    let jumped = 0
    using _ = vi.spyOn(performance, 'now').mockImplementation(() => now() + elapsed)
    const options = { rest: { closeMs: hour }, clock: { now: () => Date.now() + elapsed + jumped } }
    const server = node.serve(options)
    const use = async (): Promise<string> => {
      const session = await server.create()
      await until(session, completed(await prompt(session, '@text(hello)')))
      return session.record().id
    }
    const ids = [await use()]
    elapsed = 0.4 * hour
    jumped = jump
    ids.push(await use())
    await server.registry.tidy()
    await server.registry.release()
    // When the next one starts it is set right, and is wrong again at the start of the one after it.
    let next = server
    for (jumped of [0, jump]) {
      next = node.serve(options)
      await next.registry.restore()
      await next.registry.tidy()
      await next.registry.release()
    }
    for (const id of ids) expect((await next.registry.peek(id))?.state.status).toBe('idle')
  })

test('a session that nobody used for too long is closed, whether it is loaded or not', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ rest: { idleMs: 0, closeMs: 0 }, unloadMs: 0 })
  const session = await server.create()
  const { id } = session.record()
  await until(session, hasStatus('idle'))
  await expect
    .poll(() => server.registry.tidy().then(() => server.registry.peek(id)))
    .toMatchObject({
      state: { status: 'closed', reason: 'it was not used for a long time' },
    })
})

test('a resting session makes room for one that is wanted; who waits is told so', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ maxProcesses: 1 })
  const first = await server.create()
  const turn = await prompt(first, '@tokens(3) @hang')
  await until(first, growing(5))
  const second = await server.create()
  const waiting = await until(second, (seen) => ofType(seen, 'progress').length > 0)
  expect(ofType(waiting, 'progress')[0]).toMatchObject({ kind: 'waiting_for_process' })
  expect(server.registry.counts()).toMatchObject({ live: 1, waiting: 1 })
  await first.interrupt()
  await until(first, completed(turn))
  await until(second, hasStatus('idle'))
  expect(first.record().state).toMatchObject({ status: 'idle', process: 'none' })
})

test('without memory a new session is refused with the reason, and nothing is left of it', async () => {
  await using node = await openSessionNode()
  let short: Shortage | undefined
  const server = node.serve({ shortage: () => short })
  const session = await server.create()
  await until(session, completed(await prompt(session, '@text(one)')))
  short = { of: 'memory', reason: '10 MB of memory are left.' }
  await server.registry.tidy()
  await expect.poll(() => session.record().state.process).toBe('none')
  await expect(server.create()).rejects.toMatchObject({ code: 'out_of_capacity', retryAfter: 10 })
  await expect(prompt(session, 'hello')).rejects.toMatchObject({ code: 'out_of_capacity' })
  short = undefined
  await until(session, completed(await prompt(session, '@text(two)')))
})

requires('root', 'net-namespace')(
  'a launch without room for its files is tried until there is some, whatever the ceiling',
  async () => {
    await using disk = await mountSmallDisk(100_000, { files: 200 })
    await using node = await openSessionNode()
    await symlink(disk.path, join(node.dir, 'sessions'))
    const fillers: string[] = []
    const fill = async (): Promise<never> => {
      while (true) {
        const filler = join(disk.path, `filler-${fillers.length}`)
        await writeFile(filler, '')
        fillers.push(filler)
      }
    }
    await expect(fill()).rejects.toMatchObject({ code: 'ENOSPC' })
    const server = node.serve({ policy: { maxRetries: 2 }, starts: { failures: 2, probeAfterMs: 60_000 } })
    const session = await server.create()
    const turnId = await prompt(session, '@text(at last)')
    await until(session, (seen) => ofType(seen, 'error').length > 5)
    await Promise.all(fillers.map((filler) => rm(filler)))
    const seen = await until(session, completed(turnId))
    expect(new Set(ofType(seen, 'error').map(({ code }) => code))).toEqual(new Set(['disk_full']))
    expect(ofType(seen, 'progress')).toEqual([])
    expect(wholeTexts(seen)).toEqual(['at last'])
  },
)

test('a turn that hangs is ended, resumed and finished; one whose model still answers is left alone', async () => {
  await using node = await openSessionNode()
  let sent = 0
  const asked: string[] = []
  const server = node.serve({
    limits: { turnMs: 40 },
    sentBytes: async (sessionId) => {
      asked.push(sessionId)
      return asked.length < 4 ? ++sent : sent
    },
  })
  const session = await server.create()
  const turnId = await prompt(session, '@hang-once @text(done)')
  const seen = await until(session, completed(turnId))
  expect(asked.length).toBeGreaterThanOrEqual(4)
  expect(ofType(seen, 'error')).toMatchObject([{ code: 'turn_silent', turnId }])
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'success' }])
  expect(wholeTexts(seen)).toEqual(['done'])
})

test('a turn whose result never comes ends all the same', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create()
  const turnId = await prompt(session, '@text(all said) @no-result')
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'success', reason: 'result_missing' }])
  expect(ofType(await until(session, completed(await prompt(session, '@text(next)'))), 'complete')).toHaveLength(2)
})

test('a claude that ignores SIGTERM is killed, and that is told', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ limits: { graceMs: 50 }, rest: { idleMs: 0, closeMs: undefined } })
  const session = await server.create()
  await until(session, completed(await prompt(session, '@ignore-term @text(stubborn)')))
  await expect.poll(() => server.registry.tidy().then(() => session.record().state.process)).toBe('none')
  const seen = await until(session, ({ messages }) => messages.some(({ type }) => type === 'progress'))
  expect(ofType(seen, 'progress')).toMatchObject([{ kind: 'stop_ignored' }])
})

test('a claude that cannot be started is left alone after a while: sessions wait, and new ones are refused', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ starts: { failures: 2, probeAfterMs: 60_000 }, policy: { maxRetries: 100 } })
  const session = await server.create({ model: 'fake-exit-at-start' })
  const seen = await until(session, (all) => ofType(all, 'progress').some(({ kind }) => kind === 'waiting_for_process'))
  expect(ofType(seen, 'error')).toHaveLength(2)
  await expect(server.create()).rejects.toMatchObject({ code: 'claude_unavailable', retryAfter: 60 })
})

test('an interrupt while claude loads is no failure of its start', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ starts: { failures: 1, probeAfterMs: 60_000 } })
  const session = await server.create({ model: 'fake-slow-start' })
  const first = await prompt(session, '@tokens(3)')
  while (session.record().state.turn?.phase !== 'sent') await new Promise((resolve) => setImmediate(resolve))
  await session.interrupt()
  const second = await prompt(session, '@tokens(4)')
  const seen = await until(session, completed(second))
  expect(ofType(seen, 'complete').map(({ turnId, result, reason }) => [turnId, result, reason])).toEqual([
    [first, 'interrupted', 'interrupted_before_start'],
    [second, 'success', 'completed'],
  ])
  expect(ofType(seen, 'error')).toEqual([])
})

test('a model that is chosen while the process is being started is the one that answers', async () => {
  await using node = await openSessionNode()
  const session = await node.serve().create({ model: 'fake-slow-start' })
  expect(session.record().state.process).toBe('starting')
  await session.update({ model: 'another', permissionMode: 'plan' })
  const seen = await until(session, completed(await prompt(session, '@tokens(3)')))
  expect(ofType(seen, 'metadata').at(-1)).toMatchObject({ model: 'another', permissionMode: 'plan' })
})

test('a server that takes its processes along leaves a turn for the next one, which finishes it', async () => {
  await using node = await openSessionNode()
  const first = node.serve()
  const before = await first.create()
  const turnId = await prompt(before, '@tokens(3) @hang-once @text(done)')
  await until(before, growing(5))
  await first.registry.stopAll()
  await expect(processesWithMarker(markerOf(before))).resolves.toEqual([])
  await first.registry.release()
  const second = node.serve()
  await second.registry.restore()
  const session = await second.registry.get(before.record().id)
  const seen = await until(session, completed(turnId))
  expect(ofType(seen, 'complete')).toMatchObject([{ turnId, result: 'success' }])
  expect(ofType(seen, 'error')).toEqual([])
})

const sparesOf = async (server: SessionServer, count: number): Promise<void> => {
  await expect.poll(() => server.registry.counts().spares).toBe(count)
}

test('the next session of a kind finds a process that was started for it, and another one is started behind it', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ spares: { min: 1 } })
  await server.create()
  await sparesOf(server, 1)
  const session = await server.create()
  expect(session.record().state).toMatchObject({ process: 'loading', generation: 1 })
  const seen = await until(session, completed(await prompt(session, '@text(warm)')))
  expect(seen.messages.map(gist).slice(0, 2)).toEqual(['prompt', 'idle'])
  expect(wholeTexts(seen)).toEqual(['warm'])
  checkLog(seen.messages)
  await sparesOf(server, 1)
  expect(server.registry.counts().live).toBe(3)
  // Of another kind: it has its own.
  const other = await server.create({ model: 'opus' })
  await until(other, hasStatus('idle'))
  await sparesOf(server, 2)
})

test('a session with a process that was started ahead is like any other: crash, sleep, restart of the server', async () => {
  await using node = await openSessionNode()
  const first = node.serve({ spares: { min: 1, max: 1 } })
  await first.create()
  await sparesOf(first, 1)
  const session = await first.create()
  const crashed = await prompt(session, '@text(one) @crash-once(SIGKILL)')
  await until(session, completed(crashed))
  expect(session.record().state.generation).toBe(2)
  await sparesOf(first, 1)
  first.kill()
  await first.registry.release()
  const second = node.serve()
  await second.registry.restore()
  const again = await second.registry.get(session.record().id)
  await until(again, completed(await prompt(again, '@text(two)')))
  expect(second.registry.counts()).toMatchObject({ live: 2, spares: 0 })
})

test('what a killed server had started ahead is ended by the next one', async () => {
  await using node = await openSessionNode()
  const first = node.serve({ spares: { min: 1 } })
  await first.create()
  await sparesOf(first, 1)
  await expect.poll(() => runningIn(node.dir)).toBe(2)
  first.kill()
  const second = node.serve()
  expect(await second.registry.restore()).toEqual({ adopted: 1, swept: 1 })
  await expect.poll(() => runningIn(node.dir)).toBe(1)
})

test('a spare makes room for whatever is wanted, and no spare is started where there is no room', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ spares: { min: 1 }, maxProcesses: 2 })
  await until(await server.create(), hasStatus('idle'))
  await sparesOf(server, 1)
  const other = await server.create({ model: 'opus' })
  await until(other, hasStatus('idle'))
  expect(server.registry.counts()).toMatchObject({ live: 2, spares: 0 })
})

test('more sessions than there may be processes are all served', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ maxProcesses: 1 })
  const sessions = await Promise.all(Array.from({ length: 5 }, () => server.create()))
  const turns = await Promise.all(sessions.map((session) => prompt(session, '@text(done)')))
  await Promise.all(sessions.map((session, at) => until(session, completed(turns[at] ?? ''))))
  expect(server.registry.counts().live).toBeLessThanOrEqual(1)
})

test('a resting claude that gives no sign of life is told of first, then ended, and the next prompt starts another', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ limits: { pingMs: 0, pongMs: 30, graceMs: 50 } })
  const session = await server.create()
  await until(session, completed(await prompt(session, '@text(one)')))
  await server.registry.tidy()
  expect(session.record().state.process).toBe('ready')
  const pid =
    findProcesses(
      ({ argv, environment }) =>
        environment.includes(markerOf(session)) && argv.some((part) => part.includes('fake-claude')),
    )[0]?.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  await expect.poll(() => server.registry.tidy().then(() => session.record().state.process)).toBe('none')
  const seen = await until(session, completed(await prompt(session, '@text(two)')))
  const kinds = ofType(seen, 'progress').map(({ kind }) => kind)
  expect(kinds.indexOf('unresponsive')).toBeLessThan(kinds.indexOf('process_ended'))
  expect(wholeTexts(seen)).toEqual(['one', 'two'])
})

test('a process whose journal has become long is replaced when it rests', async () => {
  await using node = await openSessionNode()
  const server = node.serve({ rest: { journalBytes: 10_000 } })
  const session = await server.create()
  await until(session, completed(await prompt(session, '@tokens(1000)')))
  await expect.poll(() => server.registry.tidy().then(() => session.record().state.process)).toBe('none')
})

test('what a server left behind that died before it could write it down is found and ended', async () => {
  await using node = await openSessionNode()
  const first = node.serve({ spares: { min: 1 } })
  const session = await first.create()
  await until(session, hasStatus('idle'))
  await sparesOf(first, 1)
  first.kill()
  await node.forgetProcesses()
  expect(runningIn(node.dir)).toBe(2)
  const second = node.serve()
  // The session is still known; its process is known by its generation.
  expect(await second.registry.sweepStrays(new AbortController().signal)).toEqual({ ended: 1, removed: 1 })
  await expect.poll(() => runningIn(node.dir)).toBe(1)
  await killMarked(markerOf(session))
})
