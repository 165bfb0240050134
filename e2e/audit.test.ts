import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import { auditActions, parseAuditHead, routes, type AuditEntry, type Input, type User } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import BetterSqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { expectRefusal, send } from './lib/http.ts'
import { pendingApproval } from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
const canary = 'canary-7f3e9'
let dir: Awaited<ReturnType<typeof tempDir>>
let server: TestServer
let client: Client
let token: string
let strangerToken: string

beforeAll(async () => {
  dir = await tempDir()
  mkdirSync(join(dir.path, 'home'))
  server = await startTestServer({
    claude: 'fake',
    env: { ANTHROPIC_AUTH_TOKEN: `${canary}-auth-token`, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' },
  })
  strangerToken = await server.addUser('stranger')
  client = await server.client()
  token = await server.token()
})
afterAll(async () => {
  await server?.stop()
  await dir?.[Symbol.asyncDispose]()
})

type Query = Input<typeof routes.audit.list>['query']

const entriesOf = async (query: Query = {}): Promise<AuditEntry[]> =>
  (await client.call(routes.audit.list, { query: { limit: 2000, ...query } })).entries
const head = () => client.call(routes.audit.head, {})
const aicm = (args: string[], env: Record<string, string> = {}) =>
  startAicm(server, join(dir.path, 'home'), args, { env: { AICM_TOKEN: token, ...env } }).ended

/** What an act has added to the log; refusals are written behind the answer, so it waits for an entry of this action. */
const added = async (action: string, act: () => Promise<unknown>): Promise<AuditEntry> => {
  const { seq } = await head()
  await act()
  return until(`${action} is recorded`, async () => (await entriesOf({ after: seq, action })).at(-1))
}

const post = (path: string, body?: unknown, more: Parameters<typeof send>[2] = {}) =>
  send(`${server.url}${path}`, 'POST', { token, body, ...more })

type Login = { accessToken: string; refreshToken: string }

const loginAs = async (username: string, password = server.password): Promise<Login> =>
  (await post('/v1/auth/login', { username, password }, { token: undefined })).body as Login

let people = 0
const newUser = () =>
  client.call(routes.users.create, {
    body: { username: `person-${people++}`, password: `${canary}-first-password`, mustChangePassword: false },
  })

const newCredential = () =>
  client.call(routes.credentials.create, { body: { kind: 'api-key', value: `${canary}-api-key-3` } })

const newWorkspace = () => client.workspaces.create({ name: `workspace-${people++}` })

const newFile = async () => {
  const { id } = await newWorkspace()
  const url = `${server.url}/v1/workspaces/${id}/files/content?path=a.txt`
  const headers = { 'content-type': 'application/octet-stream' }
  const write = () => send(url, 'PUT', { token, body: 'hello', headers })
  await write()
  return { id, url, write }
}

const newSession = async (): Promise<string> => (await client.sessions.create()).id

describe('every act is an entry: who, what, on what, from where, with what result', () => {
  /** By action: what does it, and what of the entry is told. */
  const acts: Record<string, () => Promise<{ act: () => Promise<unknown>; entry: Partial<AuditEntry> }>> = {
    'auth.login': async () => ({
      act: () => post('/v1/auth/login', { username: 'ADMIN', password: server.password }, { token: undefined }),
      entry: { username: 'admin', target: 'ADMIN', userId: expect.stringMatching(/^usr_/), credential: null },
    }),
    'auth.refresh': async () => {
      const { refreshToken } = await loginAs('admin')
      return {
        act: () => post('/v1/auth/refresh', { refreshToken }, { token: undefined }),
        entry: { target: null, credential: null, detail: {} },
      }
    },
    'auth.logout': async () => {
      const { accessToken } = await loginAs('admin')
      return { act: () => post('/v1/auth/logout', undefined, { token: accessToken }), entry: { target: null } }
    },
    'auth.endLogin': async () => {
      await loginAs('admin')
      const { logins } = await client.call(routes.auth.logins, {})
      const id = logins.find(({ current }) => !current)?.id ?? ''
      return { act: () => client.call(routes.auth.endLogin, { params: { id } }), entry: { target: id } }
    },
    'auth.password': async () => {
      const { username } = await newUser()
      const { accessToken } = await loginAs(username, `${canary}-first-password`)
      const body = { currentPassword: `${canary}-first-password`, newPassword: `${canary}-second-password` }
      return {
        act: () => post('/v1/auth/password', body, { token: accessToken }),
        entry: { username, target: null, detail: {} },
      }
    },
    'auth.rotate': async () => ({
      act: () => client.call(routes.auth.rotate, {}),
      entry: { detail: { keyId: expect.any(String) } },
    }),
    'files.list': async () => {
      const { id } = await newWorkspace()
      return {
        act: () => client.call(routes.files.list, { params: { id }, query: { path: '' } }),
        entry: { target: id, detail: { path: '' } },
      }
    },
    'files.read': async () => {
      const file = await newFile()
      return { act: () => send(file.url, 'GET', { token }), entry: { target: file.id, detail: { path: 'a.txt' } } }
    },
    'files.write': async () => {
      const file = await newFile()
      return { act: () => file.write(), entry: { target: file.id, detail: { path: 'a.txt', size: 5 } } }
    },
    'files.remove': async () => {
      const { id } = await newFile()
      return {
        act: () => client.call(routes.files.remove, { params: { id }, query: { path: 'a.txt' } }),
        entry: { target: id, detail: { path: 'a.txt' } },
      }
    },
    'files.makeFolder': async () => {
      const { id } = await newWorkspace()
      return {
        act: () => client.call(routes.files.makeFolder, { params: { id }, body: { path: 'folder' } }),
        entry: { target: id, detail: { path: 'folder' } },
      }
    },
    'users.create': async () => ({
      act: () => client.call(routes.users.create, { body: { username: 'new-viewer', role: 'viewer' } }),
      entry: {
        target: expect.stringMatching(/^usr_/),
        detail: { username: 'new-viewer', role: 'viewer', mustChangePassword: true },
      },
    }),
    'users.update': async () => {
      const { id, username } = await newUser()
      return {
        act: () => client.call(routes.users.update, { params: { id }, body: { role: 'admin', resetPassword: true } }),
        entry: { target: id, detail: { username, role: 'admin', resetPassword: true } },
      }
    },
    'users.delete': async () => {
      const { id } = await newUser()
      return { act: () => client.call(routes.users.delete, { params: { id }, query: {} }), entry: { target: id } }
    },
    'keys.create': async () => ({
      act: () => client.call(routes.keys.create, { body: { name: `${canary}-key`, permissions: ['sessions.read'] } }),
      entry: {
        target: expect.stringMatching(/^key_/),
        detail: { prefix: expect.any(String), permissions: ['sessions.read'], expiresAt: null },
      },
    }),
    'keys.delete': async () => {
      const { id } = await client.call(routes.keys.create, { body: { name: 'x', permissions: ['sessions.read'] } })
      return { act: () => client.call(routes.keys.delete, { params: { id } }), entry: { target: id } }
    },
    'credentials.create': async () => ({
      act: () =>
        client.call(routes.credentials.create, { body: { kind: 'api-key', value: `${canary}-api-key`, shared: true } }),
      entry: {
        target: expect.stringMatching(/^[a-z]+_/),
        detail: { kind: 'api-key', shared: true, changed: ['kind', 'value', 'shared'] },
      },
    }),
    'credentials.update': async () => {
      const { id } = await newCredential()
      const body = { value: `${canary}-api-key-2` }
      return {
        act: () => client.call(routes.credentials.update, { params: { id }, body }),
        entry: { target: id, detail: { kind: 'api-key', shared: false, changed: ['value'] } },
      }
    },
    'credentials.delete': async () => {
      const { id } = await newCredential()
      return { act: () => client.call(routes.credentials.delete, { params: { id } }), entry: { target: id } }
    },
    'quotas.set': async () => {
      const { id } = await newUser()
      return {
        act: () => client.call(routes.quotas.set, { params: { id }, body: { sessions: 5 } }),
        entry: { target: id, detail: { sessions: 5 } },
      }
    },
    'limits.set': async () => {
      const { id } = await newUser()
      return {
        act: () => client.call(routes.limits.set, { params: { id }, body: { cpus: 1.5, pids: null } }),
        entry: { target: id, detail: { cpus: 1.5, pids: null } },
      }
    },
    'budgets.set': async () => ({
      act: () => client.call(routes.budgets.set, { body: { of: 'server', month: { usd: 1000 } } }),
      entry: { detail: { of: 'server', month: { usd: 1000 } } },
    }),
    'shares.shareSession': async () => {
      const [id, { id: userId, username }] = [await newSession(), await newUser()]
      return {
        act: () => client.call(routes.shares.shareSession, { params: { id }, body: { username, access: 'driver' } }),
        entry: { target: id, detail: { userId, username, access: 'driver' } },
      }
    },
    'shares.unshareSession': async () => {
      const [id, { id: userId }] = [await newSession(), await newUser()]
      return {
        act: () => client.call(routes.shares.unshareSession, { params: { id, userId } }),
        entry: { target: id, detail: { userId } },
      }
    },
    'shares.shareWorkspace': async () => {
      const [{ id }, { id: userId, username }] = [await client.workspaces.create({ name: 'shared' }), await newUser()]
      return {
        act: () => client.call(routes.shares.shareWorkspace, { params: { id }, body: { userId, access: 'viewer' } }),
        entry: { target: id, detail: { userId, username, access: 'viewer' } },
      }
    },
    'shares.unshareWorkspace': async () => {
      const [{ id }, { id: userId }] = [await client.workspaces.create({ name: 'unshared' }), await newUser()]
      return {
        act: () => client.call(routes.shares.unshareWorkspace, { params: { id, userId } }),
        entry: { target: id, detail: { userId } },
      }
    },
    'workspaces.create': async () => ({
      act: () => post('/v1/workspaces', { name: 'audited', gitUrl: `http://127.0.0.1:9/${canary}-git` }),
      entry: {
        target: expect.stringMatching(/^wsp_/),
        detail: expect.objectContaining({ name: 'audited', source: 'git' }),
      },
    }),
    'workspaces.setConfinement': async () => {
      const { id } = await client.workspaces.create({ name: 'confined' })
      const body = { readOnlyMounts: ['/usr/share'], allowedTools: ['Read'], disallowedTools: [] }
      return {
        act: () => client.call(routes.workspaces.setConfinement, { params: { id }, body }),
        entry: { target: id, detail: body },
      }
    },
    'workspaces.delete': async () => {
      const { id } = await client.workspaces.create({ name: 'gone' })
      return { act: () => client.workspaces.delete(id), entry: { target: id } }
    },
    'sessions.create': async () => ({
      act: () =>
        post('/v1/sessions', { permissionMode: 'plan', name: `${canary}-name`, systemPrompt: `${canary}-system` }),
      entry: {
        target: expect.stringMatching(/^ses_/),
        detail: { permissionMode: 'plan', workspaceId: expect.stringMatching(/^wsp_/) },
      },
    }),
    'sessions.update': async () => {
      const id = await newSession()
      const act = () =>
        send(`${server.url}/v1/sessions/${id}`, 'PATCH', {
          token,
          body: { name: `${canary}-name`, permissionMode: 'plan' },
        })
      return { act, entry: { target: id, detail: { permissionMode: 'plan', changed: ['name', 'permissionMode'] } } }
    },
    'sessions.execute': async () => {
      const id = await newSession()
      return {
        act: () => post(`/v1/sessions/${id}/execute`, { prompt: `@text(${canary}-prompt)` }),
        entry: { target: id, detail: { turnId: expect.any(String) } },
      }
    },
    'sessions.interrupt': async () => {
      const id = await newSession()
      await client.session(id).execute('@hang').accepted
      await until('it runs', async () => (await client.sessions.get(id)).status === 'running')
      return {
        act: () => client.session(id).interrupt(),
        entry: { target: id, detail: { turnId: expect.any(String) } },
      }
    },
    'sessions.close': async () => {
      const id = await newSession()
      return { act: () => client.session(id).close(), entry: { target: id } }
    },
    'sessions.delete': async () => {
      const id = await newSession()
      return { act: () => client.sessions.delete(id), entry: { target: id } }
    },
    'sessions.once': async () => ({
      act: () => post('/v1/execute', { prompt: `@text(${canary}-once)` }),
      entry: { target: expect.stringMatching(/^ses_/), detail: { turnId: expect.any(String) } },
    }),
    'approvals.answer': async () => {
      const id = await newSession()
      client.session(id).execute(`@tool(Bash,{"command":"${canary}-command"})`)
      const { approvalId } = await pendingApproval(client.session(id))
      return {
        act: () => client.approvals.answer(approvalId, { decision: 'deny', message: `${canary}-message` }),
        entry: { target: approvalId, detail: { decision: 'deny', sessionId: id, tool: 'Bash' } },
      }
    },
    'ws.connect': async () => ({
      act: async () =>
        (await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })).close(),
      entry: { target: null },
    }),
    'audit.export': async () => ({ act: () => send(`${server.url}/v1/audit/export`, 'GET', { token }), entry: {} }),
    'audit.verify': async () => ({ act: () => client.call(routes.audit.verify, { query: {} }), entry: {} }),
  }

  for (const [action, prepare] of Object.entries(acts))
    test(action, async () => {
      const { act, entry } = await prepare()
      expect(await added(action, act)).toMatchObject({
        username: 'admin',
        credential: 'login',
        address: '127.0.0.1',
        requestId: expect.stringMatching(/^req_/),
        result: 'ok',
        code: null,
        ...entry,
      })
    })

  test('a new state-changing route cannot be forgotten: all of them are in this table', () => {
    const changing = Object.entries(routes).flatMap(([group, members]) =>
      Object.entries(members).flatMap(([name, { method }]) => (method === 'GET' ? [] : [`${group}.${name}`])),
    )
    // A ticket changes nothing: the connection that it is used for is recorded. A log-in by OpenID needs a provider.
    const elsewhere = ['auth.ticket', 'oidc.finish']
    expect(changing.filter((action) => !elsewhere.includes(action) && acts[action] === undefined)).toEqual([])
  })

  test('what a program does with an API key says so, and by which', async () => {
    const permissions = ['workspaces.read', 'workspaces.write'] as const
    const { id, key } = await client.call(routes.keys.create, { body: { name: 'ci', permissions: [...permissions] } })
    const entry = await added('workspaces.create', () => post('/v1/workspaces', { name: 'by-key' }, { token: key }))
    expect(entry).toMatchObject({ username: 'admin', credential: `api-key ${id}` })
    const { text } = await send(`${server.url}/v1/audit/export`, 'GET', { token })
    expect(text).not.toContain(key)
  })

  test('the same over the WebSocket', async () => {
    const id = await newSession()
    const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
    const executed = await added('sessions.execute', async () => {
      socket.send({ type: 'execute', ref: 'a', sessionId: id, prompt: '@tool(Bash,{"command":"ls"}) @hang' })
      await socket.next('accepted')
    })
    expect(executed).toMatchObject({
      username: 'admin',
      target: id,
      address: '127.0.0.1',
      detail: { via: 'websocket' },
    })
    const { approvalId } = await pendingApproval(client.session(id))
    const answered = await added('approvals.answer', async () => {
      socket.send({ type: 'approve', ref: 'b', approvalId, decision: { decision: 'allow' } })
      await socket.next('approved')
    })
    expect(answered).toMatchObject({
      target: approvalId,
      detail: { decision: 'allow', sessionId: id, via: 'websocket' },
    })
    const interrupted = await added('sessions.interrupt', async () => {
      socket.send({ type: 'interrupt', ref: 'c', sessionId: id })
      await socket.next('interrupted')
    })
    expect(interrupted).toMatchObject({ target: id, detail: { via: 'websocket' } })
    const refused = await added('sessions.execute', async () => {
      socket.send({ type: 'execute', ref: 'd', sessionId: 'ses_0123456789abcdefghjkmnpqrs', prompt: 'x' })
      await socket.next('error')
    })
    expect(refused).toMatchObject({
      result: 'refused',
      code: 'session_not_found',
      requestId: expect.stringMatching(/^req_/),
    })
    socket.close()
  })

  test('a turn that is streamed is recorded when its prompt is taken, not when it ends', async () => {
    const id = await newSession()
    const gone = new AbortController()
    const entry = await added('sessions.execute', () =>
      fetch(`${server.url}/v1/sessions/${id}/execute`, {
        method: 'POST',
        signal: gone.signal,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify({ prompt: '@hang' }),
      }),
    )
    expect(entry).toMatchObject({ target: id, result: 'ok' })
    gone.abort()
    expect(await entriesOf({ target: id, action: 'sessions.execute' })).toHaveLength(1)
  })
})

describe('what the server does by itself is an entry too', () => {
  test('nothing is served to a source or a user for a while: one entry each time', async () => {
    const args = ['off', 'failure=5/0.01'].flatMap((limit) => ['--rate-limit', limit])
    await using node = await startTestServer({ claude: 'fake', args })
    const own = await node.client()
    const guesser = await node.addUser('guesser')
    const { body } = await send(`${node.url}/v1/auth/me`, 'GET', { token: guesser })
    for (const given of [{ token: guesser }, {}])
      for (let count = 0; count < 20; count++)
        await send(`${node.url}/v1/sessions/ses_0123456789abcdefghjkmnpqrs`, 'GET', given)
    // Nobody waits for them.
    const entries = await until('both are there', async () => {
      const found = await own.call(routes.audit.list, { query: { action: 'guard.blocked' } })
      return found.entries.length > 1 && found.entries
    })
    expect(entries).toMatchObject(
      [`user ${(body as User).id}`, '127.0.0.1'].map((target) => ({
        ...{ target, result: 'ok', userId: null, requestId: null, detail: { seconds: 5 } },
      })),
    )
  })

  test('a session that nobody uses, and one whose process fails in vain again', async () => {
    await using node = await startTestServer({
      claude: 'fake',
      args: ['--session-timeout', '1s', '--max-retries', '0'],
    })
    const own = await node.client()
    const { id: userId } = await own.me()
    const [unused, failing, closed] = [
      await own.sessions.create(),
      await own.sessions.create(),
      await own.sessions.create(),
    ]
    await own.session(closed.id).close()
    const turn = await own.session(failing.id).execute('@crash(3)').complete()
    expect(turn).toMatchObject({ result: 'error', reason: 'process_crashed' })
    const ended = (reason: string, target: string) => ({
      ...{ userId, username: 'admin', target, result: 'ok', address: null, credential: null, detail: { reason } },
    })
    const entries = await until('both are recorded', async () => {
      const found = await own.call(routes.audit.list, { query: { action: 'sessions.ended' } })
      return found.entries.length < 2 ? undefined : found.entries
    })
    expect(entries).toHaveLength(2)
    expect(entries).toMatchObject([ended('process_crashed', failing.id), ended('unused', unused.id)])
  })
})

describe('what was refused is an entry too', () => {
  test('a refresh token that was used before, with the login that it has ended', async () => {
    const { accessToken, refreshToken } = await loginAs('admin')
    const { logins } = (await send(`${server.url}/v1/auth/logins`, 'GET', { token: accessToken })).body as {
      logins: { id: string; current: boolean }[]
    }
    const target = logins.find(({ current }) => current)?.id
    const use = () => post('/v1/auth/refresh', { refreshToken }, { token: undefined })
    await use()
    const entry = await added('auth.refresh', use)
    const { id: userId } = await client.me()
    const about = { userId, username: 'admin', target }
    expect(entry).toMatchObject({ ...about, result: 'refused', code: 'refresh_token_reused', address: '127.0.0.1' })
    const [ended] = await entriesOf({ action: 'logins.ended', target })
    expect(ended).toMatchObject({ ...about, detail: { reason: 'reused' } })
  })

  test('a wrong password, with the name that was tried', async () => {
    const entry = await added('auth.login', () =>
      post('/v1/auth/login', { username: 'mallory', password: `${canary}-password` }, { token: undefined }),
    )
    expect(entry).toMatchObject({ username: 'mallory', userId: null, result: 'refused', code: 'invalid_credentials' })
  })

  test('no token, a bad one, and a token in a URL', async () => {
    const url = `${server.url}/v1/workspaces`
    expect(await added('workspaces.list', () => send(url, 'GET'))).toMatchObject({ code: 'unauthorized', userId: null })
    const bad = { headers: { authorization: `Bearer ${canary}-token` } }
    expect(await added('workspaces.create', () => send(url, 'POST', bad))).toMatchObject({ code: 'unauthorized' })
    const query = `?token=${canary}-query`
    expect(await added('workspaces.list', () => send(`${url}${query}`, 'GET'))).toMatchObject({ code: 'unauthorized' })
  })

  test('who may not', async () => {
    const entry = await added('audit.list', async () =>
      expectRefusal(await send(`${server.url}/v1/audit`, 'GET', { token: strangerToken }), 'forbidden'),
    )
    expect(entry).toMatchObject({ username: 'stranger', result: 'refused', code: 'forbidden' })
    for (const path of ['/v1/audit/export', '/v1/audit/head', '/v1/audit/verify'])
      expectRefusal(await send(`${server.url}${path}`, 'GET', { token: strangerToken }), 'forbidden')
  })

  test("another's session, privileged keys, an address that does not exist, a foreign origin", async () => {
    const id = await newSession()
    expect(
      await added('sessions.close', () => post(`/v1/sessions/${id}/close`, undefined, { token: strangerToken })),
    ).toMatchObject({ username: 'stranger', target: id, code: 'session_not_found' })
    expect(await added('sessions.create', () => post('/v1/sessions', { env: { A: canary } }))).toMatchObject({
      ...{ username: 'admin', result: 'refused', code: 'invalid_request' },
      detail: {},
    })
    expect(await added('http.other', () => post(`/v1/${canary}`, {}))).toMatchObject({
      code: 'not_found',
      target: null,
    })
    expect(
      await added('sessions.create', () => post('/v1/sessions', {}, { headers: { origin: 'https://evil.example' } })),
    ).toMatchObject({ code: 'origin_forbidden', result: 'refused' })
  })

  test('a WebSocket without a good ticket', async () => {
    const entry = await added('ws.connect', () =>
      openSocket(`${server.url}/v1/ws?ticket=${canary}-ticket`).catch(() => undefined),
    )
    expect(entry).toMatchObject({ userId: null, address: '127.0.0.1', result: 'refused', code: 'invalid_ticket' })
  })
})

test('reading the log is an entry too', async () => {
  const [first] = await entriesOf({ action: 'audit.list' })
  expect(first).toMatchObject({ username: 'admin', result: 'ok', address: '127.0.0.1' })
})

test('a read of anything else, and a refused read of what does not exist, is no entry', async () => {
  const { seq } = await head()
  await client.sessions.list()
  await client.workspaces.list()
  await client.me()
  await send(`${server.url}/v1/sessions/ses_0123456789abcdefghjkmnpqrs`, 'GET', { token })
  await client.workspaces.create({ name: 'marker' })
  const entries = await entriesOf({ after: seq })
  expect(entries.filter(({ action }) => !action.startsWith('audit.')).map(({ action }) => action)).toEqual([
    'workspaces.create',
  ])
})

test('the start is an entry with the settings that were given, and the first account is one', async () => {
  const starts = await entriesOf({ action: 'server.start' })
  expect(starts.at(-1)?.detail).toMatchObject({
    settings: { dataDir: server.dataDir, upstream: 'http://127.0.0.1:9', warmMin: '0' },
  })
  expect(Object.keys(starts.at(-1)?.detail['settings'] as object)).not.toContain('authToken')
  expect(await entriesOf({ action: 'server.stop' })).toHaveLength(starts.length - 1)
  expect(await entriesOf({ action: 'server.first_admin' })).toMatchObject([{ target: 'admin' }])
})

test('a flood of refusals is summarised, and the log goes on', async () => {
  const { seq } = await head()
  const paths = Array.from({ length: 400 }, (_, at) => `/v1/flood-${at}`)
  for (let at = 0; at < paths.length; at += 50)
    await Promise.all(paths.slice(at, at + 50).map((path) => send(`${server.url}${path}`, 'DELETE', { token })))
  await client.workspaces.create({ name: 'after-the-flood' })
  const entries = await entriesOf({ after: seq, action: 'http.other' })
  // Two windows at most lie in it.
  expect(entries.length).toBeLessThanOrEqual(6)
  const { seq: before } = await head()
  await server.terminate()
  await server.restart()
  const counted = (await entriesOf({ after: seq, action: 'http.other' })).map(({ detail }) => detail['repeated'] ?? 1)
  expect(counted.reduce<number>((sum, times) => sum + Number(times), 0)).toBeGreaterThanOrEqual(400)
  expect((await head()).seq).toBeGreaterThan(before)
})

test('nothing that is secret, and nothing that somebody wrote, is in any entry', async () => {
  const { text } = await send(`${server.url}/v1/audit/export`, 'GET', { token })
  expect(text).toContain('invalid_credentials')
  for (const secret of [canary, server.password, token, token.split('.')[2] ?? '']) expect(text).not.toContain(secret)
  for (const line of text.trim().split('\n')) expect(auditActions).toContain((JSON.parse(line) as AuditEntry).action)
})

test('pages have it all once, forwards and backwards', async () => {
  const { seq } = await head()
  const seqs: number[] = []
  let after: number | null = 0
  do {
    const page: { entries: AuditEntry[]; next: number | null } = await client.call(routes.audit.list, {
      query: { after, before: seq + 1, limit: 7 },
    })
    seqs.push(...page.entries.map((entry) => entry.seq))
    after = page.next
  } while (after !== null)
  expect(seqs).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
  const newest = await client.call(routes.audit.list, { query: { order: 'newest', before: seq + 1, limit: 3 } })
  expect([newest.entries.map((entry) => entry.seq), newest.next]).toEqual([[seq, seq - 1, seq - 2], seq - 2])
})

describe('aicm audit', () => {
  test('ls is a table of the newest entries, and JSON of the same', async () => {
    const { code, stdout } = await aicm(['audit', 'ls', '--action', 'auth.login', '--result', 'refused', '-n', '1'])
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^SEQ +TIME +USER +ACTION +TARGET +RESULT +FROM +DETAIL\n\d+ .*mallory +auth.login +mallory +refused/,
    )
    expect(stdout.trim().split('\n')).toHaveLength(2)
    const json = await aicm(['--json', 'audit', '--user', 'stranger', '--from', '2020-01-01'])
    expect((JSON.parse(json.stdout) as AuditEntry[]).every(({ username }) => username === 'stranger')).toBe(true)
    expect(await aicm(['audit', 'ls', '--from', 'yesterday'])).toMatchObject({ code: 2 })
  })

  test('verify holds, with the head that head has printed, and refuses another', async () => {
    const { stdout: printed } = await aicm(['audit', 'head'])
    const known = parseAuditHead(printed.trim())
    expect(known).toBeDefined()
    const good = await aicm(['audit', 'verify', '--expect', printed.trim()])
    expect(good).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok: \d+ entries, up to \d+:[0-9a-f]{64}\n$/),
    })
    const other = `${known?.seq}:${'0'.repeat(64)}`
    expect(await aicm(['--json', 'audit', 'verify', '--expect', other])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`"broken":{"seq":${known?.seq}`),
    })
    const later = `${(known?.seq ?? 0) + 1000}:${'0'.repeat(64)}`
    expect(await aicm(['audit', 'verify', '--expect', later])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('its end was cut off (given with --expect)'),
    })
    expect(await aicm(['audit', 'verify', '--expect', 'nonsense'])).toMatchObject({ code: 2 })
  })

  test('an export is verified without a server; a changed, missing or cut line is named', async () => {
    const { code, stdout } = await aicm(['audit', 'export'])
    expect(code).toBe(0)
    const lines = stdout.trim().split('\n')
    const file = join(dir.path, 'export.ndjson')
    const verify = async (content: string[], ...more: string[]) => {
      writeFileSync(file, `${content.join('\n')}\n`)
      return aicm(['--json', 'audit', 'verify', '--file', file, ...more], { AICM_SERVER: 'http://127.0.0.1:9' })
    }
    const good = await verify(lines)
    expect([good.code, JSON.parse(good.stdout)]).toMatchObject([0, { ok: true, checked: lines.length }])
    const last = JSON.parse(lines.at(-1) ?? '') as AuditEntry
    const broken = async (content: string[], ...more: string[]) => {
      const { code: ended, stdout: said } = await verify(content, ...more)
      expect(ended).toBe(1)
      return (JSON.parse(said) as { broken: { seq: number } }).broken.seq
    }
    const changed = JSON.stringify({ ...(JSON.parse(lines[4] ?? '') as AuditEntry), username: 'somebody' })
    expect(await broken(lines.with(4, changed))).toBe(5)
    expect(await broken(lines.toSpliced(6, 1))).toBe(7)
    expect(await broken(lines.slice(0, -3), '--expect', `${last.seq}:${last.hash}`)).toBe(last.seq - 2)
    expect(JSON.parse((await verify(lines.slice(9), '--after', '10')).stdout)).toMatchObject({ ok: true })
    expect(await verify(['{"no":"entry"}'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no_audit_export'),
    })
    // The server's own export is the same.
    const { text } = await send(`${server.url}/v1/audit/export`, 'GET', { token })
    expect((await verify(text.trim().split('\n'))).code).toBe(0)
  })

  test('CSV has every entry, and no cell that a spreadsheet would run', async () => {
    await post(
      '/v1/auth/login',
      { username: '=HYPERLINK("http://evil.example","x")', password: 'x' },
      { token: undefined },
    )
    await until('it is recorded', async () => (await entriesOf({ result: 'refused', order: 'newest' })).length > 0)
    const { stdout } = await aicm(['audit', 'export', '--format', 'csv', '--result', 'refused'])
    const { text, headers } = await send(`${server.url}/v1/audit/export?format=csv&result=refused`, 'GET', { token })
    expect(headers.get('content-type')).toContain('text/csv')
    for (const csv of [stdout, text]) {
      expect(csv).toMatch(/^seq,time,userId,username,action/)
      expect(csv).not.toMatch(/(^|,|")[=+@-][A-Za-z(]/m)
    }
    expect(text).toContain(`"'=HYPERLINK(""http://evil.example"",""x"")"`)
  })

  test('without the permission it says so', async () => {
    expect(await aicm(['audit', 'verify'], { AICM_TOKEN: strangerToken })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('audit.read'),
    })
  })
})

test('kill -9 in the middle of acts: whatever was answered is in the log, and the chain holds', async () => {
  await using node = await startTestServer({ claude: 'fake' })
  const own = await node.client()
  const answered: string[] = []
  for (let round = 0; round < 3; round++) {
    const before = answered.length
    const acts = Array.from({ length: 60 }, (_, at) =>
      own.workspaces.create({ name: `w-${round}-${at}` }).then(
        ({ id }) => void answered.push(id),
        () => undefined,
      ),
    )
    await until('some were answered', () => answered.length >= before + 15)
    await node.kill9()
    await Promise.all(acts)
    await node.restart()
    const { entries } = await own.call(routes.audit.list, { query: { action: 'workspaces.create', limit: 2000 } })
    expect(answered.filter((id) => !entries.some(({ target }) => target === id))).toEqual([])
    expect(await own.call(routes.audit.verify, { query: {} })).toMatchObject({ broken: null, done: true })
  }
})

test('what is changed in the file is found by aicm audit verify, and a cut tail by the next start', async () => {
  await using node = await startTestServer({ claude: 'fake' })
  const own = await node.client()
  for (let at = 0; at < 10; at++) await own.workspaces.create({ name: `w${at}` })
  await node.terminate()
  const alter = (sql: string): void => {
    const file = new BetterSqlite(join(node.dataDir, 'aicm.db'))
    file.exec(`DROP TRIGGER IF EXISTS audit_log_update; DROP TRIGGER IF EXISTS audit_log_delete; ${sql}`)
    file.close()
  }
  alter('DELETE FROM audit_log WHERE seq > 9')
  await node.restart()
  const verify = async (...more: string[]) => {
    const env = { AICM_TOKEN: await node.token() }
    return startAicm(node, join(dir.path, 'home'), ['audit', 'verify', ...more], { env }).ended
  }
  const { entries } = await own.call(routes.audit.list, { query: { after: 9 } })
  expect(entries[0]).toMatchObject({ seq: 10, action: 'audit.gap', result: 'failed' })
  expect(await verify()).toMatchObject({ code: 1, stdout: expect.stringContaining('broken at entry 10') })
  // Whoever has looked into it goes on from there.
  expect(await verify('--after', '10')).toMatchObject({ code: 0 })

  await node.terminate()
  alter("UPDATE audit_log SET username = 'nobody' WHERE seq = 4")
  await node.restart()
  expect(await verify()).toMatchObject({ code: 1, stdout: expect.stringContaining('broken at entry 4') })
})
