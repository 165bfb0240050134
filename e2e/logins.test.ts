import { readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Login, Tokens } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterEach, beforeEach, expect } from 'vitest'
import { expectRefusal, send, type Answer } from './lib/http.ts'
import { openSocket, type RawSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
beforeEach(async () => {
  server = await startTestServer({ claude: 'fake' })
})
afterEach(() => server?.stop())

const post = (path: string, options: Parameters<typeof send>[2] = {}): Promise<Answer> =>
  send(`${server.url}/v1/auth/${path}`, 'POST', options)
const refresh = (refreshToken: string): Promise<Answer> => post('refresh', { body: { refreshToken } })
const me = (token: string): Promise<Answer> => send(`${server.url}/v1/auth/me`, 'GET', { token })

const logIn = async (password = server.password, username = 'admin'): Promise<Tokens> => {
  const { status, body } = await post('login', { body: { username, password } })
  expect(status).toBe(200)
  return body as Tokens
}
const refreshed = async (refreshToken: string): Promise<Tokens> => {
  const { status, body } = await refresh(refreshToken)
  expect(status).toBe(200)
  return body as Tokens
}

const open = async (token: string): Promise<RawSocket> => {
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  await socket.next('hello')
  return socket
}

const accessLost = 4001

test('each refresh token works once, and the access tokens before it go on until they expire', async () => {
  const first = await logIn()
  expect(first).toMatchObject({ tokenType: 'Bearer', expiresIn: 900 })
  const second = await refreshed(first.refreshToken)
  const third = await refreshed(second.refreshToken)
  for (const { accessToken } of [first, second, third]) expect((await me(accessToken)).status).toBe(200)
  expect(new Set([first, second, third].map(({ refreshToken }) => refreshToken)).size).toBe(3)
  for (const unknown of ['', 'x', '..', third.accessToken, `${third.refreshToken}x`.slice(1)])
    expectRefusal(await refresh(unknown), 'invalid_refresh_token', 'invalid_request')
  expect((await me(third.accessToken)).status).toBe(200)
  // As an access token a refresh token is nothing.
  expectRefusal(await me(third.refreshToken), 'unauthorized')
})

for (const which of ['the first', 'the one before'] as const)
  test(`${which} refresh token used again ends the login, an open WebSocket too, and no other login`, async () => {
    const first = await logIn()
    const other = await logIn()
    const second = await refreshed(first.refreshToken)
    const third = await refreshed(second.refreshToken)
    const socket = await open(third.accessToken)
    expectRefusal(await refresh((which === 'the first' ? first : second).refreshToken), 'refresh_token_reused')
    expect(await socket.closed).toBe(accessLost)
    for (const { accessToken, refreshToken } of [first, second, third]) {
      expectRefusal(await me(accessToken), 'unauthorized')
      expectRefusal(await refresh(refreshToken), 'invalid_refresh_token')
    }
    expect((await me(other.accessToken)).status).toBe(200)
    await refreshed(other.refreshToken)
  })

test('of fifty who use one refresh token at once, one gets tokens, and the login is over for all of them', async () => {
  const { accessToken, refreshToken } = await logIn()
  const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(refreshToken)))
  const won = answers.filter(({ status }) => status === 200)
  expect(won).toHaveLength(1)
  for (const lost of answers)
    if (lost.status !== 200) expectRefusal(lost, 'refresh_token_reused', 'invalid_refresh_token')
  expect(answers.some(({ text }) => text.includes('refresh_token_reused'))).toBe(true)
  const tokens = won[0]?.body as Tokens
  for (const dead of [accessToken, tokens.accessToken]) expectRefusal(await me(dead), 'unauthorized')
  expectRefusal(await refresh(tokens.refreshToken), 'invalid_refresh_token')
})

test('a log-out closes what is open, WebSocket, stream and ticket, and stays through kill -9', async () => {
  const leaving = await logIn()
  const staying = await logIn()
  const { ticket } = (await post('ticket', { token: leaving.accessToken })).body as { ticket: string }
  const client = await server.client({ token: staying.accessToken })
  const { id } = await client.sessions.create()
  const stream = await fetch(`${server.url}/v1/sessions/${id}/events`, {
    headers: { authorization: `Bearer ${leaving.accessToken}`, accept: 'text/event-stream' },
  })
  const waiting = post('../execute', { token: leaving.accessToken, body: { prompt: '@hang' } })
  const sockets = [await open(leaving.accessToken), await open(leaving.accessToken)]
  const other = await open(staying.accessToken)
  expect((await client.sessions.list()).sessions).toHaveLength(2)

  expect(await post('logout', { token: leaving.accessToken })).toMatchObject({ status: 204 })
  for (const socket of sockets) expect(await socket.closed).toBe(accessLost)
  await stream.text()
  expectRefusal(await waiting, 'unauthorized')
  expectRefusal(await me(leaving.accessToken), 'unauthorized')
  await expect(openSocket(`${server.url}/v1/ws?ticket=${ticket}`)).rejects.toMatchObject({ status: 401 })
  other.send({ type: 'ping', ref: 'still there' })
  await other.next('pong')

  await server.kill9()
  await server.restart()
  expectRefusal(await me(leaving.accessToken), 'unauthorized')
  expectRefusal(await send(`${server.url}/v1/nothing`, 'GET', { token: leaving.accessToken }), 'unauthorized')
  expectRefusal(await refresh(leaving.refreshToken), 'invalid_refresh_token')
  expect((await me(staying.accessToken)).status).toBe(200)
  await refreshed(staying.refreshToken)
})

test('a refresh that was answered is kept through kill -9, and so is the end of the token before it', async () => {
  const first = await logIn()
  const second = await refreshed(first.refreshToken)
  await server.restart()
  const third = await refreshed(second.refreshToken)
  await server.restart()
  expectRefusal(await refresh(first.refreshToken), 'refresh_token_reused')
  expectRefusal(await me(third.accessToken), 'unauthorized')
})

test('a new password ends all other logins at once, and the old one is refused, after a restart too', async () => {
  const [mine, other] = [await logIn(), await logIn()]
  const socket = await open(other.accessToken)
  const change = (currentPassword: string, newPassword: string) =>
    post('password', { token: mine.accessToken, body: { currentPassword, newPassword } })
  expectRefusal(await change('wrong', 'a new long password'), 'invalid_credentials')
  for (const bad of ['', 'elevenchars', 'x'.repeat(1025)])
    expectRefusal(await change(server.password, bad), 'invalid_request')
  expect((await me(other.accessToken)).status).toBe(200)
  expect((await change(server.password, 'a new long password')).status).toBe(204)
  expect(await socket.closed).toBe(accessLost)
  await server.restart()
  expectRefusal(await me(other.accessToken), 'unauthorized')
  expectRefusal(await refresh(other.refreshToken), 'invalid_refresh_token')
  expect((await me(mine.accessToken)).status).toBe(200)
  await refreshed(mine.refreshToken)
  expectRefusal(await post('login', { body: { username: 'admin', password: server.password } }), 'invalid_credentials')
  await logIn('a new long password')
})

test('one sees where one is logged in, and can end a login from afar', async () => {
  const list = async (token: string): Promise<Login[]> =>
    ((await send(`${server.url}/v1/auth/logins`, 'GET', { token })).body as { logins: Login[] }).logins
  const known = (await list(await server.token())).length
  const mine = await logIn()
  const { body } = await post('login', {
    body: { username: 'admin', password: server.password },
    headers: { 'user-agent': 'A phone' },
  })
  const lost = body as Tokens
  const logins = await list(mine.accessToken)
  expect(logins).toHaveLength(known + 2)
  expect(logins.filter(({ current }) => current)).toHaveLength(1)
  const phone = logins.find(({ agent }) => agent === 'A phone')
  const socket = await open(lost.accessToken)
  const end = (id = '') => send(`${server.url}/v1/auth/logins/${id}`, 'DELETE', { token: mine.accessToken })
  expect((await end(phone?.id)).status).toBe(204)
  expect(await socket.closed).toBe(accessLost)
  expectRefusal(await me(lost.accessToken), 'unauthorized')
  expectRefusal(await end(phone?.id), 'login_not_found')
  expect(await list(mine.accessToken)).toHaveLength(known + 1)
})

test('one login more than a user may have ends the one that was not refreshed for longest, and no other', async () => {
  await server.stop()
  server = await startTestServer({ claude: 'fake', args: ['--max-logins', '3'] })
  const [first, forgotten, third] = [await logIn(), await logIn(), await logIn()]
  const before = await refreshed(first.refreshToken)
  const socket = await open(forgotten.accessToken)
  const last = await logIn()
  expect(await socket.closed).toBe(accessLost)
  await server.restart()
  expectRefusal(await me(forgotten.accessToken), 'unauthorized')
  expectRefusal(await refresh(forgotten.refreshToken), 'invalid_refresh_token')
  for (const { accessToken } of [before, third, last]) expect((await me(accessToken)).status).toBe(200)
  const ended = await send(`${server.url}/v1/audit?action=logins.ended`, 'GET', { token: last.accessToken })
  expect(ended.body).toMatchObject({
    entries: [{ username: 'admin', target: decodeJwt(forgotten.accessToken)['sid'], detail: { reason: 'room' } }],
  })

  // Together, too: each of them was good for a moment at least.
  const crowd = await Promise.all(Array.from({ length: 10 }, () => logIn()))
  const answers = await Promise.all(crowd.map(({ accessToken }) => me(accessToken)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  for (const { accessToken } of [before, third, last]) expectRefusal(await me(accessToken), 'unauthorized')
})

test('a new signing key signs, the old one is good until its last token has expired, and both survive a restart', async () => {
  const before = await logIn()
  const rotate = await post('signing-key/rotate', { token: before.accessToken })
  const { keyId } = rotate.body as { keyId: string }
  const after = await refreshed(before.refreshToken)
  expect(decodeProtectedHeader(after.accessToken).kid).toBe(keyId)
  expect(decodeProtectedHeader(before.accessToken).kid).not.toBe(keyId)
  const expectGood = async (...tokens: string[]): Promise<void> => {
    for (const token of tokens) expect((await me(token)).status).toBe(200)
  }
  await expectGood(before.accessToken, after.accessToken)
  await server.restart()
  await expectGood(before.accessToken, after.accessToken)

  const keys = (): string[] => readdirSync(server.dataDir).filter((name) => name.startsWith('jwt.key'))
  expect(keys()).toHaveLength(2)
  for (const name of keys()) expect(statSync(join(server.dataDir, name)).mode & 0o777).toBe(0o600)
  // As if it had been replaced longer ago than a token lives.
  const replaced = keys().find((name) => name !== 'jwt.key') ?? ''
  renameSync(join(server.dataDir, replaced), join(server.dataDir, `jwt.key.${Date.now() - 15 * 60_000}`))
  await server.restart()
  expectRefusal(await me(before.accessToken), 'unauthorized')
  await expectGood(after.accessToken)
  expect(keys()).toEqual(['jwt.key'])
  const removed = await send(`${server.url}/v1/audit?action=server.signing_key`, 'GET', { token: after.accessToken })
  const { kid } = decodeProtectedHeader(before.accessToken)
  expect(removed.body).toMatchObject({ entries: [{ userId: null, result: 'ok', detail: { keyId: kid } }] })
})

test('an empty or short signing secret is no reason to sign with it: the server refuses to start', async () => {
  for (const secret of ['', 'short', 'x'.repeat(31)]) {
    await server.terminate()
    writeFileSync(join(server.dataDir, 'jwt.key'), secret)
    const { code, output } = await server.rival()
    expect(code).toBe(1)
    expect(output).toContain('jwt.key is damaged')
  }
})
