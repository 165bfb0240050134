import type { Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'

const claude = requires('claude')

const newSession = async (client: Client, options: { name?: string } = {}) =>
  client.session((await client.sessions.create(options)).id)

claude('a session at rest gives its process back and goes on in the same conversation', async () => {
  await using server = await startTestServer({ args: ['--idle-timeout', '1ms'] })
  const client = await server.client()
  const session = await newSession(client)
  await session.execute('@text(one)').complete()
  await until('it sleeps', async () => (await session.info()).process === 'none')
  await until('nothing of it runs', () => server.sessionProcesses(session.id).all.length === 0)
  expect(await session.execute('@text(two)').complete()).toMatchObject({ result: 'success', text: 'two' })
  const info = await session.info()
  expect(info).toMatchObject({ turns: 2, status: 'idle' })
  expect(info.generation).toBeGreaterThan(1)
})

claude('a server that is told to takes its processes along, and the next one finishes what ran', async () => {
  await using server = await startTestServer({ args: ['--stop-sessions'] })
  const client = await server.client()
  const session = await newSession(client)
  const turn = session.execute('@tokens(400,10)')
  await turn.accepted
  await until('it answers', async () => (await session.info()).turnId !== null && server.children().length > 0)
  expect(await server.terminate()).toBe(0)
  expect(server.children()).toEqual([])
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect((await session.info()).generation).toBeGreaterThan(1)
})

claude('the second session of a kind finds a process that is ready for it', async () => {
  await using server = await startTestServer({ args: ['--warm-min', '1'] })
  const client = await server.client()
  const first = await newSession(client)
  await until('a spare is there', async () => (await client.health()).sessions.processes === 2)
  const second = await newSession(client)
  expect(await second.info()).toMatchObject({ generation: 1 })
  expect(await second.execute('@text(warm)').complete()).toMatchObject({ result: 'success', text: 'warm' })
  expect((await second.info()).workspaceId).not.toBe((await first.info()).workspaceId)
  expect(await server.terminate()).toBe(0)
  // Spares are nobody's: they end with the server.
  await until(
    'the spare is gone',
    () =>
      new Set(
        server.children().flatMap(({ environment }) => environment.filter((text) => text.startsWith('AICM_PROCESS='))),
      ).size === 2,
  )
})

claude('more sessions than there may be processes are served one after the other', async () => {
  await using server = await startTestServer({ args: ['--max-processes', '1'] })
  const client = await server.client()
  const sessions = await Promise.all(['a', 'b', 'c'].map((name) => newSession(client, { name })))
  const answers = await Promise.all(sessions.map((session) => session.execute('@text(done)').complete()))
  expect(answers.map(({ text }) => text)).toEqual(['done', 'done', 'done'])
  expect((await client.health()).sessions.processes).toBeLessThanOrEqual(1)
})
