import { randomUUID } from 'node:crypto'
import { tokensText } from '@aicm/broker'
import type { Client } from '@aicm/client'
import type { CompleteMessage, StreamItem } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { readEvents } from './lib/sse.ts'
import { collect, expectGapless, firstItem, grownText, isComplete, logOf, messagesOf, storedText } from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client
let token: string

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
  token = await server.token()
})
afterAll(() => server?.stop())

const startStream = (path: string, body: unknown): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(body),
  })

const streamOf = async (path: string, body: unknown) => {
  const response = await startStream(path, body)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
  return Array.fromAsync(readEvents(response))
}

test('a prompt over HTTP is accepted with 202 and answered in the log', async () => {
  const { id } = await client.sessions.create({ name: 'by HTTP' })
  const accepted = await send(`${server.url}/v1/sessions/${id}/execute`, 'POST', {
    token,
    body: { prompt: '@tokens(40)' },
  })
  expect(accepted).toMatchObject({
    status: 202,
    body: { turnId: expect.stringMatching(/^[0-9a-f-]{36}$/), seq: expect.any(Number) },
  })

  const items = await collect(client.session(id).events(), isComplete)
  expectGapless(items)
  expect(storedText(items)).toBe(tokensText(40))
  expect(items.at(-1)).toMatchObject({
    type: 'complete',
    result: 'success',
    ...(accepted.body as object),
    seq: expect.any(Number),
  })
  expect(items.at(-1)).toMatchObject({
    usage: { outputTokens: expect.any(Number) },
    numTurns: 1,
  })

  const page = await send(`${server.url}/v1/sessions/${id}/events`, 'GET', { token })
  expect(page).toMatchObject({ status: 200, body: { events: expect.arrayContaining(messagesOf(items)) } })
})

test('a prompt with Accept: text/event-stream streams its turn until the complete', async () => {
  const { id } = await client.sessions.create()
  const events = await streamOf(`/v1/sessions/${id}/execute`, { prompt: '@tokens(60,5)' })
  const items = events.map(({ item }) => item)
  expect(items[0]).toMatchObject({ type: 'prompt', content: [{ type: 'text', text: '@tokens(60,5)' }] })
  expect(grownText(items)).toBe(tokensText(60))
  expect(storedText(items)).toBe(tokensText(60))
  expect(items.filter(isComplete)).toEqual([items.at(-1)])
  expect(items.filter((item) => item.type === 'delta').length).toBeGreaterThan(1)
  expect(events.every((event) => event.id !== '')).toBe(true)
})

test('a one-shot prompt makes a session, answers and closes it', async () => {
  const answer = await send(`${server.url}/v1/execute`, 'POST', { token, body: { prompt: '@tokens(30)' } })
  expect(answer.status).toBe(200)
  const { sessionId, complete } = answer.body as { sessionId: string; complete: CompleteMessage }
  expect(complete).toMatchObject({ result: 'success', text: tokensText(30) })
  await until(
    'the session of a one-shot prompt is closed',
    async () => (await client.sessions.get(sessionId)).status === 'closed',
  )
  await until('its process is gone', () => server.sessionProcesses(sessionId).all.length === 0)
  expect(await client.sessions.get(sessionId)).toMatchObject({ turns: 1, status: 'closed' })
})

test('a one-shot prompt streams too', async () => {
  const items = (await streamOf('/v1/execute', { prompt: '@tokens(50,2)' })).map(({ item }) => item)
  expect(grownText(items)).toBe(tokensText(50))
  expect(storedText(items)).toBe(tokensText(50))
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
})

test('a prompt over the WebSocket is accepted and its turn comes to the subscriber', async () => {
  const { id } = await client.sessions.create()
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  expect(await socket.next('hello')).toMatchObject({ protocol: 1, user: { username: 'admin' } })
  socket.send({ type: 'subscribe', ref: 's', sessionId: id })
  expect(await socket.next('subscribed')).toMatchObject({ ref: 's', sessionId: id })
  const turnId = randomUUID()
  socket.send({ type: 'execute', ref: 'e', sessionId: id, prompt: '@tokens(70,2)', id: turnId })

  const items: StreamItem[] = []
  while (!items.some(isComplete)) items.push(...(await socket.next('events')).items)
  socket.close()
  expectGapless(items)
  expect(grownText(items)).toBe(tokensText(70))
  expect(storedText(items)).toBe(tokensText(70))
  expect(items.find(isComplete)).toMatchObject({ turnId, result: 'success' })
})

test('a prompt by the SDK is a loop over its turn', async () => {
  const { id } = await client.sessions.create()
  const items = await collect(client.session(id).execute('@tokens(80,2)'))
  expect(grownText(items)).toBe(tokensText(80))
  expect(storedText(items)).toBe(tokensText(80))
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
  const run = await client.run('@tokens(12)')
  expect(run.complete).toMatchObject({ result: 'success', text: tokensText(12) })
})

test('the conversation goes on: the model is shown what was said before', async () => {
  const { id } = await client.sessions.create({ name: 'two turns' })
  const session = client.session(id)
  await session.execute('@text(first answer)').complete()
  const first = await session.info()
  await session.execute('@text(second answer)').complete()
  const second = await session.info()
  expect(second).toMatchObject({ turns: 2, generation: 1, status: 'idle', queued: 0 })
  expect(second.usage.inputTokens).toBeGreaterThan(first.usage.inputTokens)
  // The scripted API costs nothing, so no cost is made up.
  expect(second.costUsd).toBe(0)
})

test('prompts sent while a turn runs are queued and answered in order', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const first = session.execute('@tokens(150,10)')
  await firstItem(session, (item) => item.type === 'delta')
  const others = ['@text(two)', '@text(three)', '@text(four)'].map((prompt) => session.execute(prompt))
  await Promise.all(others.map(({ accepted }) => accepted))
  expect(await session.info()).toMatchObject({ status: 'running', turnId: first.turnId, queued: 3 })

  expect(await first.complete()).toMatchObject({ text: tokensText(150) })
  const ends = await Promise.all(others.map((turn) => turn.complete()))
  expect(ends.map(({ text }) => text)).toEqual(['two', 'three', 'four'])
  const log = await logOf(client, id)
  expectGapless(log)
  expect(log.filter(isComplete).map(({ turnId }) => turnId)).toEqual([first, ...others].map(({ turnId }) => turnId))
})

test('a prompt with the same id is the same turn, also when many come at once, and another prompt with it is refused', async () => {
  const { id } = await client.sessions.create()
  const url = `${server.url}/v1/sessions/${id}/execute`
  const body = { prompt: '@text(once)', id: randomUUID() }
  const answers = await Promise.all(Array.from({ length: 8 }, () => send(url, 'POST', { token, body })))
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
  expect(answers[0]).toMatchObject({ status: 202, body: { turnId: body.id } })

  await collect(client.session(id).events(), isComplete)
  expect(await send(url, 'POST', { token, body })).toMatchObject({ status: 202, body: answers[0]?.body })
  expectRefusal(await send(url, 'POST', { token, body: { ...body, prompt: '@text(twice)' } }), 'turn_conflict')
  expectRefusal(
    await send(url, 'POST', { token, body: { id: body.id, content: [{ type: 'text', text: 'x' }] } }),
    'turn_conflict',
  )
  const other = await client.session(id).execute('@text(next)').complete()
  expect(other.text).toBe('next')
  expect((await logOf(client, id)).filter(({ type }) => type === 'prompt').length).toBe(2)
})

test('a prompt may hold images', async () => {
  const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
  const content = [
    { type: 'image' as const, source: { type: 'base64' as const, media_type: 'image/png' as const, data: pixel } },
    { type: 'text' as const, text: 'What is this?' },
  ]
  const { id } = await client.sessions.create()
  const items = await collect(client.session(id).execute(content))
  expect(items[0]).toMatchObject({ type: 'prompt', content })
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
  // The scripted API says how many images arrived there.
  expect(storedText(items)).toContain('with 1 image')
})

test('an interrupt ends the turn and keeps what was shown; the next prompt is answered', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const turn = session.execute('@tokens(100000,5)')
  const items = await collect(turn, (item) => item.type === 'delta' && item.at > 50)
  expect(await session.interrupt()).toEqual({ turnId: turn.turnId })
  expect(await turn.complete()).toMatchObject({ result: 'interrupted' })

  const log = await logOf(client, id)
  const shown = grownText(items)
  const kept = storedText(log)
  expect(kept.startsWith(shown)).toBe(true)
  expect(tokensText(100_000).startsWith(kept)).toBe(true)
  expect(await session.execute('@text(again)').complete()).toMatchObject({ result: 'success', text: 'again' })
  expectRefusal(await send(`${server.url}/v1/sessions/${id}/interrupt`, 'POST', { token }), 'no_turn_running')
})

test('an interrupt right behind the prompt counts too', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const turn = session.execute('@tokens(100000,5)')
  await turn.accepted
  // It may be accepted and not yet taken up: then there is nothing to interrupt so far.
  await until('the turn can be interrupted', () =>
    session.interrupt().then(
      () => true,
      () => false,
    ),
  )
  expect(await turn.complete()).toMatchObject({ result: 'interrupted' })
  expect(await session.execute('@text(again)').complete()).toMatchObject({ result: 'success', text: 'again' })
})

test('closing a session ends its running and its queued turns, and its process', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const turns = [session.execute('@tokens(100000,5)'), session.execute('@text(never)')]
  await firstItem(session, (item) => item.type === 'delta')
  expect(server.sessionProcesses(id).claude).toBeGreaterThan(0)
  expect(await session.close()).toMatchObject({ status: 'closed' })
  for (const turn of turns)
    expect(await turn.complete()).toMatchObject({ result: 'interrupted', reason: 'session_closed' })
  await until('its process is gone', () => server.sessionProcesses(id).all.length === 0)
  expectGapless(await logOf(client, id))
  await expect(session.execute('hello').accepted).rejects.toMatchObject({ code: 'session_closed', status: 409 })
})

test('the model and the permission mode can be changed between prompts', async () => {
  const { id } = await client.sessions.create({ model: 'claude-sonnet-5', permissionMode: 'default' })
  const session = client.session(id)
  const metadata = async () => (await logOf(client, id)).filter((message) => message.type === 'metadata').at(-1)
  await session.execute('@text(a)').complete()
  expect(await metadata()).toMatchObject({ model: 'claude-sonnet-5', permissionMode: 'default' })

  expect(
    await client.sessions.update(id, { model: 'claude-haiku-4-5', permissionMode: 'acceptEdits', name: 'changed' }),
  ).toMatchObject({
    model: 'claude-haiku-4-5',
    permissionMode: 'acceptEdits',
    name: 'changed',
  })
  // Edits are accepted now: it does not ask.
  expect(await session.execute('@write(unasked.txt|hello)').complete()).toMatchObject({ result: 'success' })
  expect(await metadata()).toMatchObject({ model: 'claude-haiku-4-5', permissionMode: 'acceptEdits' })
  expect((await logOf(client, id)).some(({ type }) => type === 'approval')).toBe(false)
})

test('sessions can be listed, found and deleted', async () => {
  const { id } = await client.sessions.create({ name: 'Findable é 1' })
  await client.sessions.create({ name: 'Findable é 2' })
  const found = await client.sessions.list({ text: 'findable É' })
  expect(found.sessions.map(({ name }) => name)).toEqual(['Findable é 2', 'Findable é 1'])
  const page = await client.sessions.list({ text: 'findable', limit: 1 })
  expect(page.sessions.map(({ name }) => name)).toEqual(['Findable é 2'])
  const rest = await client.sessions.list({ text: 'findable', limit: 1, cursor: page.nextCursor ?? '' })
  expect(rest).toMatchObject({ sessions: [{ name: 'Findable é 1' }], nextCursor: null })

  await client.sessions.delete(id)
  await expect(client.sessions.get(id)).rejects.toMatchObject({ code: 'session_not_found' })
  await until('its process is gone', () => server.sessionProcesses(id).all.length === 0)
  expect((await client.sessions.list({ text: 'findable' })).sessions.length).toBe(1)
})

test('what the API refuses is an error of the turn, in words, and the session goes on', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const items = await collect(session.execute('@error(400)'))
  expect(items.at(-1)).toMatchObject({
    type: 'complete',
    result: 'error',
    text: expect.stringContaining('Scripted error 400'),
  })
  expect(await session.execute('@text(better)').complete()).toMatchObject({ result: 'success', text: 'better' })
})
