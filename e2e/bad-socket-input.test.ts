import { randomUUID } from 'node:crypto'
import type { Client } from '@aicm/client'
import { errorTable, type ErrorCode } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { pendingApproval } from './lib/turns.ts'
import { openSocket, Refused, type RawSocket } from './lib/ws.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client
let token: string
let strangerToken: string

beforeAll(async () => {
  server = await startTestServer()
  strangerToken = await server.addUser('stranger')
  client = await server.client()
  token = await server.token()
})
afterAll(() => server?.stop())

const open = (headers: Record<string, string> = { authorization: `Bearer ${token}` }, query = ''): Promise<RawSocket> =>
  openSocket(`${server.url}/v1/ws${query}`, { headers })

const expectRefused = async (opening: Promise<RawSocket>, ...codes: ErrorCode[]): Promise<void> => {
  const refusal = await opening.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(refusal).toBeInstanceOf(Refused)
  if (refusal instanceof Refused) expectRefusal(refusal, ...codes)
}

const ticket = async (forToken = token): Promise<string> =>
  ((await send(`${server.url}/v1/auth/ticket`, 'POST', { token: forToken })).body as { ticket: string }).ticket

test('an upgrade without a good token or ticket is refused', async () => {
  await expectRefused(open({}), 'unauthorized')
  await expectRefused(open({ authorization: 'Bearer garbage' }), 'unauthorized')
  await expectRefused(open({}, '?ticket=garbage'), 'invalid_ticket')
  await expectRefused(open({}, '?ticket='), 'invalid_ticket')
  // A token in a URL is refused, beside a good ticket too.
  for (const key of ['token', 'access_token', 'authorization'])
    await expectRefused(open({}, `?${key}=${token}`), 'invalid_request')
  await expectRefused(open({}, `?ticket=${await ticket()}&token=${token}`), 'invalid_request')
  await expectRefused(
    openSocket(`${server.url}/v1/other`, { headers: { authorization: `Bearer ${token}` } }),
    'not_found',
  )
})

test('a ticket works once, for the one it was made for', async () => {
  const mine = await ticket(strangerToken)
  const socket = await open({}, `?ticket=${mine}`)
  expect(await socket.next('hello')).toMatchObject({ user: { username: 'stranger', role: 'member' } })
  await expectRefused(open({}, `?ticket=${mine}`), 'invalid_ticket')
  socket.close()
})

test('an upgrade from a foreign page or by a foreign name is refused, with a good ticket too', async () => {
  const authorization = `Bearer ${token}`
  for (const origin of ['http://evil.example', 'null', `${server.url}.evil.example`, 'file://'])
    await expectRefused(open({ origin }, `?ticket=${await ticket()}`), 'origin_forbidden')
  await expectRefused(open({ authorization, host: 'evil.example' }), 'misdirected_request')
  const socket = await open({ authorization, origin: server.url })
  expect(await socket.next('hello')).toMatchObject({ user: { username: 'admin' } })
  socket.close()
})

test('whatever is sent that is no message is refused, and the connection goes on', async () => {
  const { id } = await client.sessions.create()
  const socket = await open()
  const refused = async (message: unknown, codes: ErrorCode[], ref?: string) => {
    socket.send(message)
    const { type: _, ref: echoed, ...body } = await socket.next('error')
    expect(echoed).toBe(ref)
    expectRefusal({ asked: String(message), status: errorTable[body.error.code as ErrorCode]?.status, body }, ...codes)
  }

  for (const text of ['', '{', 'hello', 'undefined', '{"type":"ping",}', '\u0000'])
    await refused(text, ['invalid_json'])
  for (const text of ['null', '5', '[]', '"ping"', '{}', '['.repeat(100_000), '{"a":'.repeat(100_000)])
    await refused(text, ['invalid_request', 'invalid_json'])
  await refused(new TextEncoder().encode('{"type":"ping","ref":"x"}'), ['invalid_request'])
  await refused(`${'['.repeat(50_000)}${']'.repeat(50_000)}`, ['invalid_request', 'invalid_json'])
  await refused('{"type":"ping","ref":"p","__proto__":{"admin":true}}', ['invalid_json'])
  await refused('{"type":"ping","ref":"p","type":"execute"}', ['invalid_json'])
  for (const message of [
    { type: 'nonsense', ref: 'a' },
    { type: 'ping', ref: 'a', more: 1 },
    { type: 'subscribe', ref: 'a' },
    { type: 'subscribe', ref: 'a', sessionId: 'x' },
    { type: 'subscribe', ref: 'a', sessionId: id, after: 'nonsense' },
    { type: 'subscribe', ref: 'a', sessionId: id, after: 5 },
    { type: 'execute', ref: 'a', sessionId: id },
    { type: 'execute', ref: 'a', sessionId: id, prompt: '' },
    { type: 'execute', ref: 'a', sessionId: id, prompt: 'a', content: [{ type: 'text', text: 'b' }] },
    { type: 'execute', ref: 'a', sessionId: id, prompt: 'a', id: 'x' },
    { type: 'approve', ref: 'a', approvalId: 'x', decision: { decision: 'allow' } },
    { type: 'approve', ref: 'a', approvalId: 'apr_0123456789abcdefghjkmnpqrs', decision: { decision: 'maybe' } },
    {
      type: 'approve',
      ref: 'a',
      approvalId: 'apr_0123456789abcdefghjkmnpqrs',
      decision: { decision: 'allow', more: 1 },
    },
  ])
    await refused(message, ['invalid_request'], 'a')
  await refused({ type: 'ping' }, ['invalid_request'])
  await refused({ type: 'ping', ref: 5 }, ['invalid_request'])
  await refused({ type: 'ping', ref: 'x'.repeat(65) }, ['invalid_request'], 'x'.repeat(64))
  await refused({ type: 'subscribe', ref: 'far', sessionId: id, after: '99999' }, ['invalid_cursor'], 'far')

  socket.send({ type: 'ping', ref: 'alive' })
  expect(await socket.next('pong')).toMatchObject({ ref: 'alive' })
  socket.close()
})

test('an answer to a permission request that is nested without end is refused, and the request still waits', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const turn = session.execute('@write(a.txt|b) @text(done)')
  const { approvalId } = await pendingApproval(session)
  const socket = await open()
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
  socket.send(
    `{"type":"approve","ref":"d","approvalId":"${approvalId}","decision":{"decision":"allow","updatedInput":{"a":${deep}}}}`,
  )
  expect(await socket.next('error')).toMatchObject({ error: { code: 'invalid_json' } })
  socket.send({ type: 'approve', ref: 'a', approvalId, decision: { decision: 'allow' } })
  expect(await socket.next('approved')).toMatchObject({ ref: 'a', approval: { id: approvalId, state: 'allowed' } })
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
  socket.close()
})

test('unknown sessions and those of somebody else are answered alike', async () => {
  const { id } = await client.sessions.create()
  const socket = await open({ authorization: `Bearer ${strangerToken}` })
  const answers = []
  for (const sessionId of ['ses_0123456789abcdefghjkmnpqrs', id])
    for (const message of [
      { type: 'subscribe', ref: 'r', sessionId },
      { type: 'execute', ref: 'r', sessionId, prompt: 'hello' },
      { type: 'interrupt', ref: 'r', sessionId },
    ]) {
      socket.send(message)
      const { ref, error } = await socket.next('error')
      answers.push({ ref, code: error.code, message: error.message.replace(sessionId, '') })
    }
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
  expect(answers[0]).toMatchObject({ ref: 'r', code: 'session_not_found' })
  socket.send({
    type: 'approve',
    ref: 'r',
    approvalId: 'apr_0123456789abcdefghjkmnpqrs',
    decision: { decision: 'allow' },
  })
  expect(await socket.next('error')).toMatchObject({ ref: 'r', error: { code: 'approval_not_found' } })
  // Nothing of it is told to those who only unsubscribe.
  socket.send({ type: 'unsubscribe', ref: 'u', sessionId: id })
  expect(await socket.next('unsubscribed')).toMatchObject({ ref: 'u' })
  socket.close()
})

test('a message that is too large closes the connection with 1009, bad frames with 1002 and bad UTF-8 with 1007', async () => {
  const large = await open()
  large.send({ type: 'ping', ref: 'x', more: 'x'.repeat(33 * 1024 * 1024) })
  expect(await large.closed).toBe(1009)

  const closeCodeOf = async (bytes: number[]): Promise<number> => {
    const socket = await open()
    // Behind the library's back: what it would never send.
    const raw: unknown = Reflect.get(socket.socket, '_socket')
    if (!(raw instanceof (await import('node:net')).Socket)) throw new Error('no socket')
    raw.write(Buffer.from(bytes))
    return socket.closed
  }
  const mask = [0, 0, 0, 0]
  expect(await closeCodeOf([0xf1, 0x80, ...mask])).toBe(1002)
  expect(await closeCodeOf([0x83, 0x80, ...mask])).toBe(1002)
  expect(await closeCodeOf([0x81, 0x01, 0x41])).toBe(1002)
  expect(await closeCodeOf([0x81, 0x82, ...mask, 0xc3, 0x28])).toBe(1007)
})

test('a large prompt goes through, and many requests at once are answered in order', async () => {
  const { id } = await client.sessions.create()
  const socket = await open()
  const turnId = randomUUID()
  socket.send({
    type: 'execute',
    ref: 'large',
    sessionId: id,
    prompt: `@text(read) ${'x'.repeat(900_000)}`,
    id: turnId,
  })
  expect(await socket.next('accepted')).toMatchObject({ ref: 'large', turnId })
  for (let at = 0; at < 500; at += 1) socket.send({ type: 'ping', ref: `${at}` })
  for (let at = 0; at < 500; at += 1) expect(await socket.next('pong')).toMatchObject({ ref: `${at}` })
  socket.close()
  const { complete } = await client.run('@text(fine)')
  expect(complete).toMatchObject({ result: 'success', text: 'fine' })
})
