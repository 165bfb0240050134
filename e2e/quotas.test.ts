import { once } from 'node:events'
import { login, type SessionHandle } from '@aicm/client'
import { routes, type Approval } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { WebSocket } from 'ws'
import { expectRefusal, send } from './lib/http.ts'
import { logOf } from './lib/turns.ts'

const test = requires('linux')
let server: TestServer
let admin: string
let ann: string
let annId: string

beforeAll(async () => {
  const quotas = ['off', 'sessions=5', 'prompts=4', 'connections=2', 'processes=1']
  server = await startTestServer({ claude: 'fake', args: quotas.flatMap((quota) => ['--quota', quota]) })
  ann = await server.addUser('ann')
  admin = await server.token()
  annId = (await ask('GET', '/v1/auth/me', ann)).body.id
})
afterAll(() => server?.stop())

type Quota = { limit: number; used: number }
type Body = { id: string; error: { message: string }; processes: Quota; connections: Quota }

const ask = async (method: string, path: string, token: string, body?: unknown) => {
  const answer = await send(`${server.url}${path}`, method, { token, ...(body === undefined ? {} : { body }) })
  return { ...answer, body: answer.body as Body }
}
const create = (token: string) => ask('POST', '/v1/sessions', token, {})

test('a flood of new sessions is refused beyond the quota, and nobody else is', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, () => create(ann)))
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
  for (const answer of answers.filter(({ status }) => status !== 201)) {
    expectRefusal(answer, 'quota_exceeded')
    expect(answer.headers.get('retry-after')).toBe('60')
    expect(answer.body.error.message).toContain('5 open sessions')
  }
  expectRefusal(await ask('POST', '/v1/execute', ann, { prompt: 'hello' }), 'quota_exceeded')
  expect((await create(admin)).status).toBe(201)
  expect((await ask('GET', '/v1/quotas', ann)).body).toMatchObject({
    sessions: { limit: 5, used: 5 },
    bytes: { limit: null },
  })
})

test('prompts beyond the quota are refused over HTTP and WebSocket, those that were taken run', async () => {
  const { sessions } = (await ask('GET', '/v1/sessions', ann)).body as unknown as { sessions: { id: string }[] }
  const id = sessions[0]?.id ?? ''
  const execute = (prompt: string) => ask('POST', `/v1/sessions/${id}/execute`, ann, { prompt })
  // It goes on until it is interrupted: the others wait behind it.
  expect((await execute('@hang')).status).toBe(202)
  await until('it runs', async () => {
    const session = (await ask('GET', `/v1/sessions/${id}`, ann)).body as unknown as { status: string; queued: number }
    return session.status === 'running' && session.queued === 0
  })
  const prompts = await Promise.all(Array.from({ length: 20 }, () => execute('@text(done)')))
  expect(prompts.filter(({ status }) => status === 202).length).toBeLessThanOrEqual(4)
  // Of those that come together one that is being taken may count twice: one by one the quota is used up.
  for (let left = 4; left > 0; left--) await execute('@text(done)')
  expectRefusal(await execute('@text(done)'), 'quota_exceeded')

  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${ann}` },
  })
  await once(socket, 'message')
  // Others come unasked: what is wrong with the server's health, for one.
  const answered = new Promise<unknown>((resolve) =>
    socket.on('message', (data: Buffer) => {
      const message: unknown = JSON.parse(data.toString())
      if (typeof message === 'object' && message !== null && 'ref' in message) resolve(message)
    }),
  )
  socket.send(JSON.stringify({ type: 'execute', ref: 'r', sessionId: id, prompt: 'one more' }))
  expect(await answered).toMatchObject({ type: 'error', ref: 'r', error: { code: 'quota_exceeded' } })
  socket.terminate()
  await until('the first is interrupted', async () => {
    const { status } = await ask('POST', `/v1/sessions/${id}/interrupt`, ann)
    return status === 202
  })
  await until('all that was taken has run', async () => {
    const session = (await ask('GET', `/v1/sessions/${id}`, ann)).body as unknown as { status: string; queued: number }
    return session.status === 'idle' && session.queued === 0
  })
})

test('a user has no more processes than the quota says: the others wait in turn', async () => {
  const { sessions } = (await ask('GET', '/v1/sessions', ann)).body as unknown as { sessions: { id: string }[] }
  const [first, second] = sessions
  for (const session of [first, second])
    expect((await ask('POST', `/v1/sessions/${session?.id}/execute`, ann, { prompt: '@text(done)' })).status).toBe(202)
  await until('both have run', async () => {
    const { processes } = (await ask('GET', '/v1/quotas', ann)).body
    expect(processes.used).toBeLessThanOrEqual(1)
    const both = await Promise.all(
      [first, second].map(async (session) => (await ask('GET', `/v1/sessions/${session?.id}`, ann)).body),
    )
    return both.every((session) => (session as unknown as { status: string }).status === 'idle')
  })
})

test('WebSockets beyond the quota are refused as they are opened', async () => {
  const open = () =>
    new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, { headers: { authorization: `Bearer ${ann}` } })
  const sockets = [open(), open()]
  for (const socket of sockets) await once(socket, 'message')
  const [, response] = (await once(open(), 'unexpected-response')) as [unknown, { statusCode: number; headers: object }]
  expect(response).toMatchObject({ statusCode: 429, headers: { 'retry-after': '30' } })
  sockets[0]?.close()
  await until('there is room again', async () => {
    const socket = open()
    const opened = await new Promise<boolean>((resolve) => {
      socket.once('open', () => resolve(true))
      socket.once('unexpected-response', () => resolve(false))
    })
    socket.on('error', () => undefined).terminate()
    return opened
  })
  for (const socket of sockets) socket.terminate()
})

test('event streams count as WebSockets do: one too many is refused before anything is done, and whatever ends one makes room', async () => {
  const { sessions } = (await ask('GET', '/v1/sessions', ann)).body as unknown as { sessions: { id: string }[] }
  const id = sessions[0]?.id ?? ''
  const other = await login({ url: server.url, username: 'ann', password: server.password })
  const headers = { accept: 'text/event-stream' }
  const follow = async (token: string) => {
    const reader = new AbortController()
    const response = await fetch(`${server.url}/v1/sessions/${id}/events`, {
      headers: { ...headers, authorization: `Bearer ${token}` },
      signal: reader.signal,
    })
    return { response, reader }
  }
  const streamOnce = (path: string, body?: object) =>
    send(`${server.url}${path}`, body === undefined ? 'GET' : 'POST', { token: ann, headers, ...(body && { body }) })
  const connections = async () => (await ask('GET', '/v1/quotas', ann)).body.connections.used
  const left = (used: number) => until(`${used} are open`, async () => (await connections()) === used)
  await left(0)

  const [first, second] = [await follow(ann), await follow(other.accessToken)]
  expect([first.response.status, second.response.status, await connections()]).toEqual([200, 200, 2])
  const prompts = async () =>
    ((await ask('GET', `/v1/sessions/${id}`, ann)).body as unknown as { lastSeq: number }).lastSeq
  const before = await prompts()
  for (const refused of [
    await streamOnce(`/v1/sessions/${id}/events`),
    await streamOnce(`/v1/sessions/${id}/execute`, { prompt: '@text(never)' }),
    await streamOnce('/v1/execute', { prompt: '@text(never)' }),
  ]) {
    expectRefusal(refused, 'quota_exceeded')
    expect(refused.headers.get('retry-after')).toBe('30')
    expect(refused.text).toContain('2 WebSockets, event streams and requests that wait for a turn')
  }
  expect(await prompts()).toBe(before)
  const headersOf = { headers: { authorization: `Bearer ${ann}` } }
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, headersOf)
  expect((await once(socket, 'unexpected-response'))[1]).toMatchObject({ statusCode: 429 })
  // A page of the log is answered and done.
  expect((await ask('GET', `/v1/sessions/${id}/events`, ann)).status).toBe(200)

  first.reader.abort()
  await left(1)
  expect((await streamOnce(`/v1/sessions/${id}/execute`, { prompt: '@text(done)' })).text).toContain('event: complete')
  expect((await streamOnce('/v1/sessions/ses_0123456789abcdefghjkmnpqrs/events')).status).toBe(404)
  expect((await streamOnce(`/v1/sessions/${id}/events?after=999999`)).status).toBe(400)
  await left(1)
  expect((await ask('POST', '/v1/auth/logout', other.accessToken)).status).toBe(204)
  await second.response.text()
  await left(0)
})

test('requests that wait for a turn count as event streams do: one too many makes no session, and whatever ends one makes room', async () => {
  await using own = await startTestServer({ claude: 'fake', args: ['--quota', 'off', '--quota', 'connections=2'] })
  const client = await own.client()
  const token = await own.token()
  const run = (prompt: string, signal: AbortSignal | null = null) =>
    fetch(`${own.url}/v1/execute`, {
      method: 'POST',
      signal,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt }),
    })
  const open = (used: number) =>
    until(`${used} are open`, async () => (await client.call(routes.quotas.mine, {})).connections.used === used)
  const gone = [new AbortController(), new AbortController()]
  const waiting = gone.map(({ signal }) => run('@hang', signal).catch(() => 'gone'))
  const sessions = async () => (await client.sessions.list()).sessions
  const [first] = await until('both have a session', async () => {
    const made = await sessions()
    return made.length === gone.length ? made : undefined
  })
  await open(2)
  const refused = await run('@text(never)')
  expectRefusal({ status: refused.status, body: await refused.json() }, 'quota_exceeded')
  const events = `${own.url}/v1/sessions/${first?.id}/events`
  expectRefusal(await send(events, 'GET', { token, headers: { accept: 'text/event-stream' } }), 'quota_exceeded')
  expect(await sessions()).toHaveLength(gone.length)
  // This one is answered when its prompt is taken.
  const url = `${own.url}/v1/sessions/${first?.id}/execute`
  expect((await send(url, 'POST', { token, body: { prompt: '@text(later)' } })).status).toBe(202)

  gone[0]?.abort()
  await open(1)
  expect(await (await run('@text(done)')).json()).toMatchObject({ complete: { result: 'success', text: 'done' } })
  await open(1)
  gone[1]?.abort()
  await open(0)
  expect(await Promise.all(waiting)).toEqual(['gone', 'gone'])
})

test("a user's quota of processes counts right after a crash: what waited waits again, and all turns finish", async () => {
  await using own = await startTestServer({ claude: 'fake' })
  const [operator, client] = [await own.client(), await own.client({ token: await own.addUser('ben') })]
  const { id } = await client.me()
  await operator.call(routes.quotas.set, { params: { id }, body: { processes: 1 } })
  const sessions: SessionHandle[] = []
  for (let count = 0; count < 3; count++) sessions.push(client.session((await client.sessions.create()).id))
  // Each keeps its process until it is answered.
  const turns = sessions.map((session) => session.execute('@tool(Bash,{"command":"ls"})'))
  const live = () => sessions.filter((session) => own.sessionProcesses(session.id).claude !== undefined)
  const pending = (known: string[]) =>
    until('another asks', async () => (await client.approvals.list()).find((asked) => !known.includes(asked.id)))
  const first = await pending([])
  const others = sessions.filter((session) => session.id !== first.sessionId)
  const waits = async (session: SessionHandle): Promise<number> =>
    (await logOf(client, session.id)).filter(
      (item) => item.type === 'progress' && item.text.startsWith('Waiting for room'),
    ).length
  await until('the others wait', async () => (await Promise.all(others.map(waits))).every((times) => times > 0))
  const before = await Promise.all(others.map(waits))

  await own.restart()
  await until('the others wait again, or have what is not theirs', async () => {
    const after = await Promise.all(others.map(waits))
    return live().length > 1 || after.every((times, at) => times > (before[at] ?? 0))
  })
  const asked: string[] = []
  for (let next: Approval | undefined = first; next !== undefined;) {
    expect(live().map((session) => session.id)).toEqual([next.sessionId])
    asked.push(next.id)
    await client.approvals.answer(next.id, { decision: 'allow' })
    next = asked.length < sessions.length ? await pending(asked) : undefined
  }
  for (const turn of turns) expect(await turn.complete()).toMatchObject({ result: 'success' })
})

test('an administrator sets quotas, which count at once and outlive the server; nobody else may', async () => {
  const path = `/v1/users/${annId}/quotas`
  expectRefusal(await ask('PUT', path, ann, { sessions: 100 }), 'forbidden')
  expectRefusal(await ask('GET', path, ann), 'forbidden')
  expectRefusal(await ask('PUT', path, admin, { sessions: -1 }), 'invalid_request')
  expectRefusal(await ask('PUT', path, admin, { disks: 1 }), 'invalid_request')
  expectRefusal(await ask('PUT', '/v1/users/usr_0123456789abcdefghjkmnpqrs/quotas', admin, {}), 'user_not_found')
  expect((await ask('PUT', path, admin, { sessions: 6, prompts: null })).body).toMatchObject({
    sessions: { limit: 6, used: 5 },
    prompts: { limit: null },
    connections: { limit: 2 },
  })
  expect((await create(ann)).status).toBe(201)
  expectRefusal(await create(ann), 'quota_exceeded')
  await server.restart()
  expectRefusal(await create(ann), 'quota_exceeded')
  expect((await ask('GET', path, admin)).body).toMatchObject({ sessions: { limit: 6, used: 6 } })
  await ask('PUT', path, admin, {})
  expect((await ask('GET', '/v1/quotas', ann)).body).toMatchObject({ sessions: { limit: 5, used: 6 } })
})

const walled = requires('bwrap')

walled('who fills the disk while a turn runs is ended, wherever it is written to, and nobody else is', async () => {
  await using small = await startTestServer({
    claude: 'fake',
    args: ['off', 'bytes=20m'].flatMap((quota) => ['--quota', quota]),
  })
  const neighbour = await small.client()
  const { id: other } = await neighbour.sessions.create()
  await neighbour.session(other).execute('@hang')
  const going = async () => (await neighbour.sessions.get(other)).status === 'running'
  await until('the neighbour’s turn runs', going)
  const files = (place: string) =>
    `until [ -e go ]; do sleep 0.1; done; n=0; while [ $n -lt 100 ]; do n=$((n+1)); head -c 1000000 /dev/zero > ${place}/big-$n; done; tail -f /dev/null`
  const hogs = {
    home: `@bash(${files('$HOME')})`,
    tmp: `@bash(${files('/tmp')})`,
    workspace: `@bash(${files('.')})`,
    // The turn ends at once, and what it has left behind writes on.
    daemon: `@bash(setsid sh -c '${files('/tmp')}' >/dev/null 2>&1 &)`,
  }
  for (const [name, prompt] of Object.entries(hogs)) {
    const token = await small.addUser(name)
    const client = await small.client({ token })
    const { id, workspaceId } = await client.sessions.create()
    const session = client.session(id)
    const turn = await session.execute(prompt)
    const behind = name === 'daemon' ? undefined : await session.execute('@text(next)')
    await client.files.write(workspaceId, 'go', 'go')
    await until(`nothing of ${name} runs any more`, () => small.sessionProcesses(id).all.length === 0)
    const log = await logOf(client, id)
    const ends = log.flatMap((message) => (message.type === 'complete' ? [[message.turnId, message.reason]] : []))
    if (behind !== undefined) {
      expect(log.find(({ type }) => type === 'error')).toMatchObject({
        ...{ turnId: turn.turnId, code: 'quota_exceeded', message: expect.stringContaining('20971520 stored bytes') },
        hint: expect.stringContaining('Delete files'),
      })
      expect(ends).toEqual([turn, behind].map(({ turnId }) => [turnId, 'quota_exceeded']))
    } else expect(ends).toEqual([[turn.turnId, 'completed']])
    // The client would wait as long as the answer says.
    const execute = (sessionId: string) =>
      send(`${small.url}/v1/sessions/${sessionId}/execute`, 'POST', { token, body: { prompt: '@text(more)' } })
    expectRefusal(await execute(id), 'quota_exceeded')
    if (name === 'tmp') {
      await client.sessions.delete(id)
      const create = () => send(`${small.url}/v1/sessions`, 'POST', { token, body: {} })
      await until('there is room again', async () => (await create()).status === 201)
    }
    expect(await going(), name).toBe(true)
  }
})
