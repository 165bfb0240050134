import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AicmError, createClient, login, type Client } from '@aicm/client'
import { permissionsOfRole, routes, type Permission, type Role, type Route, type Tokens } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { expectRefusal, send, type Answer } from './lib/http.ts'
import { allRoutes, pathWith, unknownId, validBody } from './lib/routes.ts'
import { logOf, pendingApproval } from './lib/turns.ts'
import { openSocket, type RawSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
let admin: Client
const tokens = {} as Record<Role, string>
const roles = Object.keys(permissionsOfRole) as Role[]

beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
  admin = await server.client()
  await server.addUser('stranger')
  for (const role of roles) tokens[role] = await server.addUser(`the-${role}`, role)
})
afterAll(() => server?.stop())

const name = ({ method, path }: Route): string => `${method} ${path}`
const call = (route: Route, token: string, id = unknownId(route)): Promise<Answer> =>
  send(`${server.url}${pathWith(route, id)}`, route.method, {
    token,
    ...(route.body === undefined ? {} : { body: validBody(route) }),
  })

const open = async (token: string): Promise<RawSocket> => {
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  await socket.next('hello')
  return socket
}
const logIn = (username: string, password = server.password): Promise<Tokens> =>
  login({ url: server.url, username, password })
const me = (token: string): Promise<Answer> => send(`${server.url}/v1/auth/me`, 'GET', { token })
const addUser = (username: string, role: Role = 'member') =>
  admin.call(routes.users.create, { body: { username, role, password: server.password, mustChangePassword: false } })

const accessLost = 4001

describe('each route lets in whose role has what it needs, and nobody else', () => {
  for (const route of allRoutes.filter(({ auth }) => auth !== 'none'))
    for (const role of roles)
      test(`${name(route)} as ${role}`, async () => {
        // Ends the login that asks.
        const token = route.id === 'logout' ? (await logIn(`the-${role}`)).accessToken : tokens[role]
        const answer = await call(route, token)
        const allowed = route.auth === 'token' || permissionsOfRole[role].includes(route.auth as Permission)
        if (!allowed) return expectRefusal(answer, 'forbidden')
        expect([200, 201, 202, 204, 400, 401, 404], answer.asked).toContain(answer.status)
        if (answer.status === 401) expectRefusal(answer, 'invalid_credentials')
      })
})

describe("another's is answered like an unknown one, to an administrator too", () => {
  /** An id of each kind, of a member's. */
  const theirIds: Record<string, (member: Client) => Promise<string | undefined>> = {
    sessions: async (member) => (await member.sessions.create()).id,
    workspaces: async (member) => (await member.sessions.create()).workspaceId,
    approvals: async (member) => {
      const session = member.session((await member.sessions.create()).id)
      session.execute('@tool(Bash,{"command":"ls"})')
      return (await pendingApproval(session)).approvalId
    },
    keys: async (member) =>
      (await member.call(routes.keys.create, { body: { name: 'k', permissions: ['sessions.read'] } })).id,
    'auth/logins': async (member) => (await member.call(routes.auth.logins, {})).logins[0]?.id,
    credentials: async (member) =>
      (await member.call(routes.credentials.create, { body: { kind: 'api-key', value: 'sk-not-a-real-key' } })).id,
  }
  const kindOf = ({ path }: Route): string => /^\/v1\/([a-z/]+)\/:id/.exec(path)?.[1] ?? ''
  const ofUsers = allRoutes.filter((route) => kindOf(route) in theirIds && route.auth !== 'server.manage')

  test('there are routes of each kind', () => {
    expect(new Set(ofUsers.map(kindOf))).toEqual(new Set(Object.keys(theirIds)))
  })

  for (const route of ofUsers)
    test(name(route), async () => {
      await using member = createClient({ url: server.url, token: tokens.member })
      const theirs = (await theirIds[kindOf(route)]?.(member)) ?? ''
      expect(theirs).toMatch(/^[a-z]{3}_/)
      const foreign = await call(route, tokens.admin, theirs)
      const unknown = await call(route, tokens.admin)
      const without = ({ body }: Answer, what: string) =>
        JSON.stringify(body)
          .replaceAll(what, '')
          .replace(/req_\w+/, '')
      expect(foreign.status).toBe(404)
      expect(without(foreign, theirs)).toBe(without(unknown, unknownId(route)))
      expect((await me(tokens.member)).status).toBe(200)
    })
})

test('names are plain, and taken in every case', async () => {
  const create = (username: string) =>
    send(`${server.url}/v1/users`, 'POST', { token: tokens.admin, body: { username } })
  for (const bad of ['', '-x', '.x', '../x', 'a b', 'a/b', 'Žofie', 'а', 'a\n', 'a\u0000', 'x'.repeat(65), '<b>'])
    expectRefusal(await create(bad), 'invalid_request')
  expectRefusal(await create('THE-member'), 'user_exists')
  const made = await create('o.k_1@x-y')
  expect(made).toMatchObject({ status: 201, body: { role: 'member', disabled: false } })
  const { password } = made.body as { password: string }
  expect(password.length).toBeGreaterThan(15)
  await logIn('O.K_1@X-Y', password)
})

test('a user who is removed is out at once, and stays out: the WebSocket, the tokens, the key, the sessions', async () => {
  const { id: userId } = await addUser('leaver')
  const { accessToken, refreshToken } = await logIn('leaver')
  await using leaver = createClient({ url: server.url, token: accessToken })
  const { key } = await leaver.call(routes.keys.create, { body: { name: 'k', permissions: ['sessions.read'] } })
  const { id, workspaceId } = await leaver.sessions.create()
  const sockets = [await open(accessToken), await open(key)]
  const remove = (query = '') => send(`${server.url}/v1/users/${userId}${query}`, 'DELETE', { token: tokens.admin })
  expect((await remove()).status).toBe(204)
  for (const socket of sockets) expect(await socket.closed).toBe(accessLost)
  await until('their processes have ended', () => server.sessionProcesses(id).all.length === 0)
  await server.restart()
  for (const token of [accessToken, key]) expectRefusal(await me(token), 'unauthorized')
  expectRefusal(
    await send(`${server.url}/v1/auth/refresh`, 'POST', { body: { refreshToken } }),
    'invalid_refresh_token',
  )
  await expect(logIn('leaver')).rejects.toMatchObject({ code: 'invalid_credentials' })

  // A new one of the same name is somebody else.
  await addUser('leaver')
  await using next = createClient({ url: server.url, token: (await logIn('leaver')).accessToken })
  expect((await next.sessions.list()).sessions).toEqual([])
  await expect(next.sessions.get(id)).rejects.toMatchObject({ code: 'session_not_found' })

  const folder = join(server.dataDir, 'workspaces', userId)
  expect(existsSync(folder)).toBe(true)
  expect((await remove('?purge=true')).status).toBe(204)
  expect(existsSync(folder)).toBe(false)
  expect(existsSync(join(server.dataDir, 'users', userId))).toBe(false)
  expectRefusal(await remove('?purge=true'), 'user_not_found')
  expectRefusal(await remove(), 'user_not_found')
  expect(workspaceId).toMatch(/^wsp_/)
})

test('a user who is disabled, or whose password is reset, is logged out everywhere; enabled again, may log in', async () => {
  const { id } = await addUser('sleeper')
  const change = (body: object) => send(`${server.url}/v1/users/${id}`, 'PATCH', { token: tokens.admin, body })
  const { accessToken } = await logIn('sleeper')
  const first = await open(accessToken)
  const client = await server.client({ token: accessToken })
  const session = client.session((await client.sessions.create()).id)
  const turns = [session.execute('@tokens(100000,20)'), session.execute('@tokens(3)')]
  for (const turn of turns) await turn.accepted
  await until('the first runs', async () => (await session.info()).process === 'ready')
  expect(await change({ disabled: true })).toMatchObject({ status: 200, body: { disabled: true } })
  // What runs for them ends too, and what waits behind it.
  await until('nothing runs', () => server.sessionProcesses(session.id).all.length === 0)
  expect(await first.closed).toBe(accessLost)
  await expect(logIn('sleeper')).rejects.toMatchObject({ code: 'account_disabled' })
  await expect(logIn('sleeper', 'wrong')).rejects.toMatchObject({ code: 'invalid_credentials' })
  await change({ disabled: false })
  const second = await logIn('sleeper')
  const log = await logOf(await server.client({ token: second.accessToken }), session.id)
  expect(log.flatMap((item) => (item.type === 'complete' ? [item.reason] : []))).toEqual(
    turns.map(() => 'account_disabled'),
  )
  const socket = await open(second.accessToken)
  const { password } = (await change({ resetPassword: true })).body as { password: string }
  expect(await socket.closed).toBe(accessLost)
  expectRefusal(await me(second.accessToken), 'unauthorized')
  await expect(logIn('sleeper')).rejects.toMatchObject({ code: 'invalid_credentials' })
  await logIn('sleeper', password)
  expectRefusal(await change({}), 'invalid_request')
})

test('another role counts at once, on an open WebSocket too', async () => {
  const { id } = await addUser('climber')
  const { accessToken } = await logIn('climber')
  await using client = createClient({ url: server.url, token: accessToken })
  const { id: sessionId } = await client.sessions.create()
  const socket = await open(accessToken)
  const execute = (ref: string) => socket.send({ type: 'execute', ref, sessionId, prompt: '@text(hello)' })
  execute('may')
  await socket.next('accepted')
  await admin.call(routes.users.update, { params: { id }, body: { role: 'viewer' } })
  execute('may not')
  expect(await socket.next('error')).toMatchObject({ ref: 'may not', error: { code: 'forbidden' } })
  expectRefusal(await send(`${server.url}/v1/sessions`, 'POST', { token: accessToken, body: {} }), 'forbidden')
  socket.close()
})

test('the last administrator can be neither removed, nor demoted, nor disabled, however many try at once', async () => {
  const list = async () => (await admin.call(routes.users.list, {})).users
  const admins = (await list()).filter(({ role }) => role === 'admin')
  expect(admins.length).toBeGreaterThan(1)
  const { id: mine } = await admin.me()
  const answers = await Promise.all(
    admins.map(({ id }) =>
      send(`${server.url}/v1/users/${id}`, 'PATCH', { token: tokens.admin, body: { role: 'member' } }),
    ),
  )
  const kept = answers.filter(({ status }) => status !== 200)
  expect(kept.length).toBeGreaterThan(0)
  for (const answer of kept) expectRefusal(answer, 'last_admin', 'forbidden')
  const left = (await list().catch(() => undefined)) ?? []
  // Whoever is left makes things as they were.
  const { role } = await admin.me()
  const remaining = role === 'admin' ? admin : createClient({ url: server.url, token: tokens.admin })
  for (const { id } of admins) await remaining.call(routes.users.update, { params: { id }, body: { role: 'admin' } })
  expect(left.filter((user) => user.role === 'admin').length).toBeLessThan(2)

  for (const { id } of admins) if (id !== mine) await admin.call(routes.users.delete, { params: { id }, query: {} })
  for (const body of [{ role: 'viewer' }, { disabled: true }])
    expectRefusal(
      await send(`${server.url}/v1/users/${mine}`, 'PATCH', { token: await server.token(), body }),
      'last_admin',
    )
  expectRefusal(await send(`${server.url}/v1/users/${mine}`, 'DELETE', { token: await server.token() }), 'last_admin')
  tokens.admin = await server.addUser('the-admin', 'admin')
})

describe('API keys', () => {
  const make = (permissions: Permission[], more: { expiresAt?: string; token?: string } = {}) => {
    const { token = tokens.member, ...body } = more
    return send(`${server.url}/v1/keys`, 'POST', { token, body: { name: 'a key', permissions, ...body } })
  }
  const keyOf = async (...given: Parameters<typeof make>) => (await make(...given)).body as { id: string; key: string }

  test('a key may do what it was given, of what its owner may do, and nothing with the account', async () => {
    const { key } = await keyOf(['sessions.read'])
    expect(key).toMatch(/^aicm_[0-9a-f]{8}_[0-9a-f]{48}$/)
    for (const route of allRoutes.filter(({ auth }) => auth !== 'none')) {
      const answer = await call(route, key)
      const allowed = route.auth === 'token' || route.auth === 'sessions.read'
      if (allowed) expect(answer.status, answer.asked).not.toBe(403)
      else expectRefusal(answer, 'forbidden')
    }
    const socket = await open(key)
    socket.send({ type: 'execute', ref: '1', sessionId: 'ses_0123456789abcdefghjkmnpqrs', prompt: 'x' })
    expect(await socket.next('error')).toMatchObject({ error: { code: 'session_not_found' } })
    socket.close()
  })

  test('it is not given what its maker may not do', async () => {
    expectRefusal(await make(['users.manage']), 'forbidden')
    expectRefusal(await make(['sessions.write'], { token: tokens.viewer }), 'forbidden')
    expectRefusal(await make(['account.write']), 'invalid_request')
    const { key } = await keyOf(['users.manage'], { token: tokens.admin })
    expect((await send(`${server.url}/v1/users`, 'GET', { token: key })).status).toBe(200)
    expectRefusal(await make(['sessions.read'], { token: key }), 'forbidden')
  })

  test('it is shown once, kept as a hash, and listed with its prefix and its last use', async () => {
    const { id, key } = await keyOf(['sessions.read'])
    const list = async () => (await send(`${server.url}/v1/keys`, 'GET', { token: tokens.member })).text
    expect(await list()).not.toContain(key)
    const entry = async () =>
      (JSON.parse(await list()) as { keys: { id: string; prefix: string; lastUsedAt: string | null }[] }).keys.find(
        (one) => one.id === id,
      )
    expect(await entry()).toMatchObject({ prefix: key.slice(0, 13), lastUsedAt: null })
    expect((await send(`${server.url}/v1/sessions`, 'GET', { token: key })).status).toBe(200)
    await expect.poll(async () => (await entry())?.lastUsedAt).toMatch(/^\d{4}-/)
    const secret = key.slice(14)
    for (const file of ['aicm.db', 'aicm.db-wal', 'server.log'])
      expect(readFileSync(join(server.dataDir, file)).includes(secret)).toBe(false)
    for (const wrong of [`${key}0`, key.slice(0, -1), `aicm_${'0'.repeat(8)}_${secret}`, 'aicm_', 'aicm__'])
      expectRefusal(await me(wrong), 'unauthorized')
  })

  test('one that is deleted or has expired is out at once, its WebSocket too', async () => {
    const { id, key } = await keyOf(['sessions.read'])
    const socket = await open(key)
    expect((await send(`${server.url}/v1/keys/${id}`, 'DELETE', { token: tokens.member })).status).toBe(204)
    expect(await socket.closed).toBe(accessLost)
    expectRefusal(await me(key), 'unauthorized')

    for (const expiresAt of ['yesterday', '2026-13-45T99:00:00Z', new Date(Date.now() - 1000).toISOString()])
      expectRefusal(await make(['sessions.read'], { expiresAt }), 'invalid_request')
    const short = await keyOf(['sessions.read'], { expiresAt: new Date(Date.now() + 2000).toISOString() })
    const open2 = await open(short.key)
    expect((await me(short.key)).status).toBe(200)
    expect(await open2.closed).toBe(accessLost)
    expectRefusal(await me(short.key), 'unauthorized')
  })

  test('it does less when its owner may do less', async () => {
    const { id } = await addUser('demoted', 'admin')
    const { accessToken } = await logIn('demoted')
    const { key } = await keyOf(['users.manage', 'sessions.read'], { token: accessToken })
    await admin.call(routes.users.update, { params: { id }, body: { role: 'viewer' } })
    expectRefusal(await send(`${server.url}/v1/users`, 'GET', { token: key }), 'forbidden')
    expect((await send(`${server.url}/v1/sessions`, 'GET', { token: key })).status).toBe(200)
  })
})

test('the SDK keeps a login going, and says when it is over', async () => {
  const tokensOf = await logIn('the-member')
  let current: { accessToken: string; refreshToken: string; expiresAt: number } | undefined = {
    ...tokensOf,
    accessToken: 'refused',
    expiresAt: Date.now() + 900_000,
  }
  let refreshes = 0
  await using client = createClient({
    url: server.url,
    tokens: {
      read: () => current,
      write: (next) => {
        refreshes++
        current = next
      },
      exclusively: (work) => work(),
    },
  })
  await Promise.all(Array.from({ length: 20 }, () => client.me()))
  expect(refreshes).toBe(1)
  if (current !== undefined) current.expiresAt = 0
  await Promise.all(Array.from({ length: 20 }, () => client.me()))
  expect(refreshes).toBe(2)
  const { id } = await client.sessions.create()
  expect(await client.session(id).execute('@text(hello)').complete()).toMatchObject({ result: 'success' })
  const following = client.session(id).events()[Symbol.asyncIterator]()
  await following.next()
  await client.logout()
  expect(current).toBeUndefined()
  const ended = async () => {
    while ((await following.next()).done !== true);
  }
  await expect(ended()).rejects.toBeInstanceOf(AicmError)
  await expect(client.me()).rejects.toMatchObject({ code: 'unauthorized' })
})
