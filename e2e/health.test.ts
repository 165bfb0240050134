import { once } from 'node:events'
import { renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import type { Health, HealthStatus } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
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
