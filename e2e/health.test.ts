import { once } from 'node:events'
import { readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { sessionTokens, socketPaths } from '@aicm/broker'
import { createClient, type Client } from '@aicm/client'
import { routes, type Health, type HealthStatus } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import BetterSqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { send } from './lib/http.ts'
import { openSocket, type RawSocket } from './lib/ws.ts'

const test = requires('linux')
const everySecond = { env: { AICM_HEALTH_INTERVAL: '1' } }

const healthOf = (client: Client, what: string, wanted: (health: Health) => boolean): Promise<Health> =>
  until(what, async () => {
    const health = await client.health()
    return wanted(health) && health
  })

const socketOf = async (server: TestServer): Promise<RawSocket> =>
  openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${await server.token()}` } })

/** The next word of the server's health for which this is true. */
const told = async (socket: RawSocket, wanted: (health: HealthStatus) => boolean): Promise<HealthStatus> => {
  while (true) {
    const health = await socket.next('health')
    if (wanted(health)) return health
  }
}
const mentions =
  (text: string) =>
  ({ reasons }: HealthStatus): boolean =>
    reasons.some((reason) => reason.includes(text))

test('the machine and its parts are described, and what is wrong has a reason', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const health = await client.health()
  expect(health).toMatchObject({
    modelApi: { broker: 'up', reachable: null, error: null },
    storage: { writable: true, error: null },
  })
  const { cpu, memory, disk } = health.system
  expect(cpu.count).toBeGreaterThan(0)
  expect(memory.availableBytes).toBeGreaterThan(0)
  expect(memory.availableBytes).toBeLessThanOrEqual(memory.totalBytes)
  const { bsize, blocks } = statfsSync(server.dataDir)
  expect(disk.totalBytes).toBe(bsize * blocks)
  expect(health.status).toBe(health.reasons.length === 0 ? 'ok' : 'degraded')
})

test('a broker that was killed is told as down, and is up again by itself', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const first = await until('the broker runs', server.brokerPid)
  await healthOf(client, 'the broker is up', ({ modelApi }) => modelApi.broker === 'up')
  kill(first, 'SIGKILL')
  const ill = await healthOf(client, 'it is down', ({ modelApi }) => modelApi.broker === 'down')
  expect(ill.status).toBe('degraded')
  expect(mentions('The broker is down')(ill)).toBe(true)
  const well = await healthOf(client, 'it is up again', ({ modelApi }) => modelApi.broker === 'up')
  expect(mentions('The broker is down')(well)).toBe(false)
  expect(server.brokerPid()).not.toBe(first)
})

test('claude that goes missing is told over the WebSocket, to whoever comes later too, and so is that it is back', async () => {
  await using server = await startTestServer({ claude: 'fake', ...everySecond })
  const client = await server.client()
  const socket = await socketOf(server)
  expect((await client.health()).claude).toMatchObject({ path: server.program, error: null })
  renameSync(server.program, `${server.program}-away`)
  const missing = await told(socket, mentions('not an executable file'))
  expect(missing).toMatchObject({ status: 'degraded' })
  expect((await client.health()).claude).toMatchObject({ path: null, error: expect.stringContaining(server.program) })
  await expect(client.sessions.create()).rejects.toMatchObject({ code: 'claude_unavailable' })

  const late = await socketOf(server)
  expect(mentions('not an executable file')(await late.next('health'))).toBe(true)
  const heard: HealthStatus[] = []
  const stop = client.onHealth((health) => heard.push(health))
  renameSync(`${server.program}-away`, server.program)
  await told(socket, (health) => !mentions('not an executable file')(health))
  await told(late, (health) => !mentions('not an executable file')(health))
  // The SDK hears it where it has a connection, and opens none for it.
  expect(heard).toEqual([])
  const { id } = await client.sessions.create()
  const following = client.session(id).events()[Symbol.asyncIterator]()
  await following.next()
  renameSync(server.program, `${server.program}-away`)
  await until('the SDK has heard of it', () => heard.some(mentions('not an executable file')))
  stop()
  await following.return?.()
  socket.close()
  late.close()
})

test('a model API that cannot be reached is found out by the broker', async () => {
  const gone = createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const address = gone.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const upstream = `http://127.0.0.1:${port}`
  const env = { ANTHROPIC_API_KEY: 'sk-none', ANTHROPIC_BASE_URL: upstream }
  {
    await using server = await startTestServer({ claude: 'fake', env })
    const client = await server.client()
    const health = await healthOf(client, 'it is known', ({ modelApi }) => modelApi.reachable !== null)
    expect(health.modelApi).toMatchObject({ mode: 'live', upstream, reachable: true, error: null })
  }
  gone.close()
  await once(gone, 'close')
  await using server = await startTestServer({ claude: 'fake', env })
  const client = await server.client()
  const health = await healthOf(client, 'it is known', ({ modelApi }) => modelApi.reachable !== null)
  expect(health.modelApi).toMatchObject({ reachable: false, error: expect.stringContaining('ECONNREFUSED') })
  expect(mentions('The model API cannot be reached')(health)).toBe(true)
})

/** What the broker answers to a call for a session of this user; undefined while it does not run. */
const callModelApi = async (server: TestServer, userId: string): Promise<number | undefined> => {
  const dir = join(server.dataDir, 'broker')
  const key = sessionTokens(dir).give({ sessionId: 'ses_1', userId })
  const call = request({
    ...{ socketPath: socketPaths(dir).api, method: 'POST', path: '/v1/messages', agent: false },
    headers: { 'x-api-key': key },
  }).end('{"model":"claude-x"}')
  const [answer] = await once(call, 'response').catch(() => [])
  answer?.resume()
  return answer?.statusCode
}

/** How often a breaker has changed to each state. */
const breakerChanges = async (server: TestServer, domain: string): Promise<Record<string, number>> => {
  const { text } = await send(`${server.url}/metrics`, 'GET', { token: await server.token() })
  const found = text.matchAll(/^aicm_breaker_changes_total\{domain="(.+?)",state="(.+?)"\} (\d+)$/gm)
  return Object.fromEntries(
    [...found].flatMap(([, of, state, count]) => (of === domain ? [[state, Number(count)]] : [])),
  )
}

test('each change of a credential’s breaker is counted and logged, and health is told of it at once', async () => {
  let status = 500
  const api = createHttpServer((asked, answer) => void asked.resume().once('end', () => answer.writeHead(status).end()))
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  const address = api.address()
  const upstream = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const env = { ANTHROPIC_API_KEY: 'sk-shared', ANTHROPIC_BASE_URL: upstream, AICM_HEALTH_INTERVAL: '3600' }
  await using server = await startTestServer({ claude: 'fake', env })
  const admin = await server.client()
  const ada = createClient({ url: server.url, token: await server.addUser('ada') })
  await ada.call(routes.credentials.create, { body: { kind: 'api-key', value: 'sk-adas-own', name: 'mine' } })
  const adaId = (await ada.call(routes.auth.me, {})).id
  const socket = await socketOf(server)
  const failing = mentions('The model API failed several times in a row')

  const breakBoth = async (): Promise<void> => {
    for (const userId of [adaId, 'usr_other'])
      await until('its breaker is open', async () => (await callModelApi(server, userId)) !== 500)
  }
  await until('the broker is configured', async () => (await callModelApi(server, adaId)) === 500)
  await breakBoth()
  await told(socket, failing)
  await until('both are counted', async () => (await breakerChanges(server, 'modelApi')).open === 2)
  // Another server counts from where it starts.
  await server.restart()
  const again = await socketOf(server)
  expect(failing(await again.next('health'))).toBe(true)
  status = 200
  for (const userId of [adaId, 'usr_other'])
    await until('it is asked again', async () => (await callModelApi(server, userId)) === 200)
  await told(again, (health) => !failing(health))
  await until('both are counted', async () => (await breakerChanges(server, 'modelApi')).closed === 2)
  expect(await breakerChanges(server, 'modelApi')).toEqual({ 'half-open': 2, closed: 2 })
  expect((await admin.health()).breakers.modelApi).toBe('closed')
  await server.terminate()
  const logged = readFileSync(join(server.dataDir, 'server.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('circuit breaker for the model API'))
    .map((line) => JSON.parse(line))
  expect(logged.map(({ state }) => state).toSorted()).toEqual([
    'closed',
    'closed',
    'half-open',
    'half-open',
    'open',
    'open',
  ])
  expect(new Set(logged.map(({ credential }) => credential)).size).toBe(2)
  ada.close()
  socket.close()
  again.close()
  api.close()
})

test('a change of the storage’s breaker is told at once', async () => {
  await using server = await startTestServer({ claude: 'fake', env: { AICM_HEALTH_INTERVAL: '3600' } })
  const client = await server.client()
  const socket = await socketOf(server)
  const { id } = await client.sessions.create()
  const failing = mentions('Writing to the database failed several times in a row')
  const token = await server.token()
  const prompt = () => send(`${server.url}/v1/sessions/${id}/execute`, 'POST', { token, body: { prompt: '@text(x)' } })
  const other = new BetterSqlite(join(server.dataDir, 'aicm.db'))
  other.exec('BEGIN IMMEDIATE')
  await until('it is open', async () => (await prompt()) && (await client.health()).breakers.storage === 'open')
  await told(socket, failing)
  other.close()
  await until('a prompt is taken', async () => (await prompt()).status === 202)
  await told(socket, (health) => !failing(health))
  expect(await breakerChanges(server, 'storage')).toMatchObject({ 'half-open': expect.any(Number), closed: 1 })
  socket.close()
})

requires(
  'claude',
  'root',
  'net-namespace',
)('a full disk is told with its reason, reading goes on, and it is well again when there is room', async () => {
  await using disk = await mountSmallDisk(96 * 1024)
  await using server = await startTestServer({ within: disk.path, ...everySecond })
  const client = await server.client()
  const socket = await socketOf(server)
  // Little room is a reason already.
  expect(mentions('less than 512 MB')(await told(socket, mentions('less than 512 MB')))).toBe(true)
  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(before)').complete()

  const filler = join(disk.path, 'filler')
  try {
    writeFileSync(filler, Buffer.alloc(200 * 1024 * 1024))
  } catch {
    // Full.
  }
  expect(await told(socket, mentions('Nothing can be stored'))).toMatchObject({ status: 'degraded' })
  const ill = await client.health()
  expect(ill.storage).toMatchObject({ writable: false, error: 'The disk of the data folder is full.' })
  expect((await client.sessions.get(id)).id).toBe(id)

  rmSync(filler)
  await told(socket, (health) => !mentions('Nothing can be stored')(health))
  await healthOf(client, 'it can be written', ({ storage }) => storage.writable)
  expect(await client.session(id).execute('@text(after)').complete()).toMatchObject({ text: 'after' })
  socket.close()
})
