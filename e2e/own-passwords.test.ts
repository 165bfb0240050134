import { routes, type Tokens } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send, type Answer } from './lib/http.ts'
import { allRoutes, pathWith, unknownId, validBody } from './lib/routes.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
})
afterAll(() => server?.stop())

const admins = async (method: string, path: string, body: object): Promise<Answer> =>
  send(`${server.url}${path}`, method, { token: await server.token(), body })
const post = (path: string, options: Parameters<typeof send>[2]): Promise<Answer> =>
  send(`${server.url}/v1/auth/${path}`, 'POST', options)
const me = (token: string): Promise<Answer> => send(`${server.url}/v1/auth/me`, 'GET', { token })
const change = (token: string, currentPassword: string, newPassword: string): Promise<Answer> =>
  post('password', { token, body: { currentPassword, newPassword } })

const logIn = async (username: string, password: string): Promise<Tokens & { mustChangePassword: boolean }> => {
  const { status, body } = await post('login', { body: { username, password } })
  expect(status).toBe(200)
  return body as Tokens & { mustChangePassword: boolean }
}
const given = 'given by an administrator'
const own = 'known to nobody else'

test('with a password that somebody else has set a login can change it or end, and nothing else', async () => {
  const { body } = await admins('POST', '/v1/users', { username: 'ada', role: 'admin', password: given })
  expect(body).toMatchObject({ mustChangePassword: true })
  const login = await logIn('ada', given)
  expect(login.mustChangePassword).toBe(true)
  const leaving = await logIn('ada', given)
  const open = ['none', routes.auth.password.id, routes.auth.logout.id]
  for (const route of allRoutes.filter(({ auth, id }) => !open.includes(auth) && !open.includes(id))) {
    const answer = await send(`${server.url}${pathWith(route, unknownId(route))}`, route.method, {
      token: login.accessToken,
      ...(route.body === undefined ? {} : { body: validBody(route) }),
    })
    expectRefusal(answer, 'password_change_required')
  }
  await expect(
    openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${login.accessToken}` } }),
  ).rejects.toMatchObject({ status: 403 })
  const { status, body: tokens } = await post('refresh', { body: { refreshToken: login.refreshToken } })
  expect(status).toBe(200)
  const { accessToken } = tokens as Tokens
  await server.restart()
  expectRefusal(await me(accessToken), 'password_change_required')
  expect((await post('logout', { token: leaving.accessToken })).status).toBe(204)

  expectRefusal(await change(accessToken, 'wrong', own), 'invalid_credentials')
  expectRefusal(await change(accessToken, given, given), 'invalid_request')
  expectRefusal(await me(accessToken), 'password_change_required')
  expect((await change(accessToken, given, own)).status).toBe(204)
  expect((await me(accessToken)).status).toBe(200)
  await server.restart()
  expect((await logIn('ada', own)).mustChangePassword).toBe(false)
  expect((await me(accessToken)).status).toBe(200)
})

test('a password that was reset has to be changed, while keys from before go on', async () => {
  const token = await server.addUser('bob')
  const { body } = await send(`${server.url}/v1/keys`, 'POST', {
    token,
    body: { name: 'k', permissions: ['sessions.read'] },
  })
  const { key } = body as { key: string }
  const { id } = (await me(token)).body as { id: string }
  const { password } = (await admins('PATCH', `/v1/users/${id}`, { resetPassword: true })).body as { password: string }
  const login = await logIn('bob', password)
  expect(login.mustChangePassword).toBe(true)
  expectRefusal(await me(login.accessToken), 'password_change_required')
  expect((await me(key)).status).toBe(200)
  expect((await change(login.accessToken, password, own)).status).toBe(204)
  expect((await me(login.accessToken)).status).toBe(200)
})

test('who need not change it is not asked to: the first administrator, and whom it was said of', async () => {
  expect((await logIn('admin', server.password)).mustChangePassword).toBe(false)
  await admins('POST', '/v1/users', { username: 'eve', password: given, mustChangePassword: false })
  const login = await logIn('eve', given)
  expect(login.mustChangePassword).toBe(false)
  expect((await me(login.accessToken)).status).toBe(200)
})
