import { readFileSync, writeFileSync } from 'node:fs'
import type { Client, SessionHandle } from '@aicm/client'
import type { Message } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { describe, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { expectGapless, firstItem, logOf, pendingApproval } from './lib/turns.ts'

/** What ends, replaces, closes or refuses by itself, with limits that a test can wait for: side by side, as most of it is waiting. */

const test = requires('linux')
const real = requires('linux', 'claude')

const open = async (client: Client, config?: Parameters<Client['sessions']['create']>[0]): Promise<SessionHandle> =>
  client.session((await client.sessions.create(config)).id)

const errorsOf = (log: Message[]) => log.flatMap((message) => (message.type === 'error' ? [message.code] : []))

const kindsOf = (log: Message[]) => log.flatMap((message) => (message.type === 'progress' ? [message.kind] : []))

describe.concurrent('watchdogs', () => {
  // What takes longest is begun first.

  real(
    'the real claude: where the model is silent its turn is ended; where somebody is asked, or a tool runs, it is not',
    async () => {
      await using server = await startTestServer({ args: ['--turn-timeout', '5s', '--max-retries', '0'] })
      const client = await server.client()
      const asking = await open(client)
      const turn = asking.execute('@bash(echo a > a; sleep 7) @text(done)')
      const { approvalId } = await pendingApproval(asking)
      const silent = await open(client)
      // Longer than the limit.
      expect(await silent.execute('@hang').complete()).toMatchObject({ result: 'error', reason: 'turn_silent' })
      expect(await silent.info()).toMatchObject({
        ...{ status: 'closed', generation: 1 },
        reason: expect.stringMatching(/claude said nothing for \d+ s/),
      })
      await client.approvals.answer(approvalId, { decision: 'allow' })
      expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
      expect((await asking.info()).generation).toBe(1)
      expect(errorsOf(await logOf(client, asking.id))).toEqual([])
    },
  )

  // --- the start of claude ------------------------------------------------------------------------------------------------

  test('a claude that cannot be started is left alone after a while: 503 with Retry-After, until one try has succeeded', async () => {
    const args = ['--max-retries', '100', '--retry-base-delay', '1ms', '--retry-max-delay', '1ms']
    await using server = await startTestServer({ claude: 'fake', args })
    const client = await server.client()
    const token = await server.token()
    const resting = await open(client)
    await resting.execute('@text(a)').complete()
    kill(server.sessionProcesses(resting.id).claude ?? 0, 'SIGKILL')
    await until('it has no process', async () => (await resting.info()).process === 'none')
    const program = readFileSync(server.program)
    const broken = '#!/bin/sh\ntest "$1" = --version && echo "2.1.330 (Claude Code)" && exit\necho torn >&2\nexit 3\n'
    writeFileSync(server.program, broken)

    const waiting = await open(client)
    const turn = waiting.execute('@text(at last)')
    await firstItem(waiting, (item) => item.type === 'progress' && item.kind === 'waiting_for_process')
    expect((await client.health()).breakers.claude).toBe('open')
    for (const [path, body] of [
      ['/v1/sessions', {}],
      [`/v1/sessions/${resting.id}/execute`, { prompt: 'refused' }],
    ] as const) {
      const refused = await send(`${server.url}${path}`, 'POST', { token, body })
      expectRefusal(refused, 'claude_unavailable')
      expect(refused.text).toContain('exit code 3')
      expect(refused.headers.get('retry-after')).toBe('10')
    }

    // Who waits is the next to try.
    writeFileSync(server.program, program)
    expect(await turn.complete()).toMatchObject({ result: 'success', text: 'at last' })
    expect((await client.health()).breakers.claude).toBe('closed')
    expect(await resting.execute('@text(b)').complete()).toMatchObject({ result: 'success', text: 'b' })
    expect((await logOf(client, resting.id)).filter(({ type }) => type === 'prompt')).toHaveLength(2)
    const tries = errorsOf(await logOf(client, waiting.id))
    expect(tries).toEqual(Array.from({ length: 8 }, () => 'start_failed'))
  })

  test('a claude that hangs at its start is ended after --start-timeout, and after the retries its session, with the cause', async () => {
    const args = ['--start-timeout', '300ms', '--max-retries', '1', '--retry-base-delay', '1ms']
    await using server = await startTestServer({ claude: 'fake', args })
    const client = await server.client()
    const session = await open(client, { model: 'fake-hang-at-start' })
    expect(await session.execute('@text(a)').complete()).toMatchObject({ result: 'error', reason: 'start_timeout' })
    expect(await session.info()).toMatchObject({
      ...{ status: 'closed', generation: 2 },
      reason: expect.stringContaining('claude was not ready after 0.3 s'),
    })
    expect(errorsOf(await logOf(client, session.id))).toEqual(['start_timeout', 'start_timeout'])
    await until('nothing of it runs', () => server.sessionProcesses(session.id).all.length === 0)
  })

  test('a claude that is too old is refused, with its version and the one that is needed', async () => {
    await using server = await startTestServer({ claude: 'fake' })
    writeFileSync(server.program, '#!/bin/sh\necho "2.0.99 (Claude Code)"\n')
    await server.restart()
    const client = await server.client()
    const said = /is claude 2\.0\.99; at least \d+\.\d+\.\d+ is needed/
    await until('its version is known', async () => said.test((await client.health()).reasons.join(' ')))
    const token = await server.token()
    for (const [path, body] of [
      ['/v1/sessions', {}],
      ['/v1/execute', { prompt: 'a' }],
    ] as const) {
      const refused = await send(`${server.url}${path}`, 'POST', { token, body })
      expectRefusal(refused, 'claude_unavailable')
      expect(refused.text).toMatch(said)
    }
    expect((await client.sessions.list()).sessions).toEqual([])
  })

  // --- a turn -------------------------------------------------------------------------------------------------------------

  test('a turn that is silent for --turn-timeout is ended, resumed and finished', async () => {
    await using server = await startTestServer({ claude: 'fake', args: ['--turn-timeout', '1s'] })
    const client = await server.client()
    const session = await open(client)
    const turn = session.execute('@hang-once @text(done)')
    expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
    expect(await session.info()).toMatchObject({ status: 'idle', generation: 2 })
    const log = await logOf(client, session.id)
    expectGapless(log)
    expect(errorsOf(log)).toEqual(['turn_silent'])
    expect(log.filter(({ type }) => type === 'complete')).toHaveLength(1)
  })

  test('a turn whose result does not come within --result-timeout ends as it stands, and is told to', async () => {
    await using server = await startTestServer({ claude: 'fake', args: ['--result-timeout', '300ms'] })
    const client = await server.client()
    const session = await open(client)
    const turn = session.execute('@text(all said) @no-result')
    expect(await turn.complete()).toMatchObject({ result: 'success', reason: 'result_missing' })
    expect(kindsOf(await logOf(client, session.id))).toContain('result_missing')
    expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
    expect((await session.info()).generation).toBe(1)
  })

  test('a session has its own idea of failures: retries, and what becomes of a turn that was cut off', async () => {
    await using server = await startTestServer({ claude: 'fake' })
    const client = await server.client()

    const starts = await open(client, { model: 'fake-exit-at-start', recovery: { maxRetries: 1, baseDelay: 0 } })
    expect(await starts.execute('@text(a)').complete()).toMatchObject({ result: 'error', reason: 'start_failed' })
    expect(await starts.info()).toMatchObject({
      ...{ status: 'closed', generation: 2 },
      reason: expect.stringContaining('told to end at its start'),
    })

    const crashes = await open(client, { recovery: { maxRetries: 0 } })
    expect(await crashes.execute('@crash(7)').complete()).toMatchObject({ result: 'error', reason: 'process_crashed' })
    expect(await crashes.info()).toMatchObject({
      ...{ status: 'closed', generation: 1 },
      reason: expect.stringContaining('exit code 7'),
    })

    const cutOff = await open(client, { permissionMode: 'default', recovery: { continue: 'never' } })
    const turn = cutOff.execute('@tool(Bash,{}) @crash-once(SIGKILL) @text(b)')
    await client.approvals.answer((await pendingApproval(cutOff)).approvalId, { decision: 'allow' })
    expect(await turn.complete()).toMatchObject({ result: 'error', reason: 'turn_cut_off' })
    expect(kindsOf(await logOf(client, cutOff.id))).not.toContain('continued')
    expect(await cutOff.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
  })

  test('a claude that has gone mad is ended once 100 MB in a row are no message, and its session says so', async () => {
    await using server = await startTestServer({ claude: 'fake' })
    const client = await server.client()
    const session = await open(client, { recovery: { maxRetries: 0 } })
    const turn = session.execute(`${'@garbage(8000000) '.repeat(14)} @hang`)
    expect(await turn.complete()).toMatchObject({ result: 'error', reason: 'protocol_garbage' })
    expect(await session.info()).toMatchObject({ status: 'closed', generation: 1 })
    expect(errorsOf(await logOf(client, session.id))).toEqual(['protocol_garbage'])
    await until('nothing of it runs', () => server.sessionProcesses(session.id).all.length === 0)
  })

  // --- sessions at rest ---------------------------------------------------------------------------------------------------

  test('a session that nobody used for --session-timeout is closed; one that is read is not', async () => {
    await using server = await startTestServer({ claude: 'fake', args: ['--session-timeout', '1s'] })
    const client = await server.client()
    const [before, read, after] = [await open(client), await open(client), await open(client)]
    const events = read.events()[Symbol.asyncIterator]()
    await events.next()
    for (const unused of [before, after]) {
      await until('it is closed', async () => (await unused.info()).status === 'closed')
      expect((await unused.info()).reason).toBe('it was not used for a long time')
      await until('nothing of it runs', () => server.sessionProcesses(unused.id).all.length === 0)
    }
    expect(await read.info()).toMatchObject({ status: 'idle', process: 'ready' })
    await events.return?.(undefined)
  })

  test('a resting claude that gives no sign of life is told of, and left alone when it gives one in time', async () => {
    const args = ['--ping-interval', '100ms', '--ping-timeout', '2s']
    await using server = await startTestServer({ claude: 'fake', args })
    const client = await server.client()
    const session = await open(client)
    await session.execute('@text(a)').complete()
    const { claude = 0 } = server.sessionProcesses(session.id)
    kill(claude, 'SIGSTOP')
    await firstItem(session, (item) => item.type === 'progress' && item.kind === 'unresponsive')
    kill(claude, 'SIGCONT')
    expect(await session.execute('@text(b)').complete()).toMatchObject({ result: 'success', text: 'b' })
    expect(server.sessionProcesses(session.id).claude).toBe(claude)
    expect(await session.info()).toMatchObject({ status: 'idle', generation: 1 })
  })

  test('below --memory-reserve resting processes are ended first, then new ones refused with the reason; work goes on', async () => {
    await using server = await startTestServer({ claude: 'fake' })
    const client = await server.client()
    const token = await server.token()
    const resting = await open(client)
    await resting.execute('@text(a)').complete()
    const working = await open(client)
    const turn = working.execute('@tokens(3) @hang')
    await firstItem(working, (item) => item.type === 'delta')

    await server.restart(['--memory-reserve', '100000000'])
    const create = () => send(`${server.url}/v1/sessions`, 'POST', { token, body: {} })
    // Refused at once where the one that rests was ended before it came.
    expect([201, 503]).toContain((await create()).status)
    await until('the resting one has no process', async () => (await resting.info()).process === 'none')
    const prompted = await send(`${server.url}/v1/sessions/${resting.id}/execute`, 'POST', {
      token,
      body: { prompt: 'b' },
    })
    for (const refused of [await create(), prompted]) {
      expectRefusal(refused, 'out_of_capacity')
      expect(refused.text).toMatch(/\d+ MB of memory are left, and 100000000 MB are kept free/)
      expect(refused.headers.get('retry-after')).toBe('10')
    }
    expect(await working.info()).toMatchObject({ status: 'running', process: 'ready', generation: 1 })
    await working.interrupt()
    expect(await turn.complete()).toMatchObject({ result: 'interrupted' })
    await until('this one rests now', async () => (await working.info()).process === 'none')

    await server.restart([])
    expect(await resting.execute('@text(c)').complete()).toMatchObject({ result: 'success', text: 'c' })
    const { sessions } = await client.sessions.list()
    for (const { id } of sessions)
      await until('it has room', async () => (await client.sessions.get(id)).status === 'idle')
  })
})
