import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { socketPaths } from '@aicm/broker'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'

const test = requires('linux')

/** As hostile code in a session would copy it. */
const tokenOf = (server: TestServer, sessionId: string): string => {
  const token = server
    .sessionProcesses(sessionId)
    .all.flatMap(({ environment }) => environment)
    .map((variable) => variable.slice(variable.indexOf('=') + 1))
    .find((value) => value.startsWith(`aicm-${sessionId}.`))
  if (token === undefined) throw new Error('the session has no token')
  return token
}

const callWith = (server: TestServer, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const socketPath = socketPaths(join(server.dataDir, 'broker')).api
    const body = { model: 'claude-x', max_tokens: 10, messages: [{ role: 'user', content: '@text(a)' }] }
    request(
      { socketPath, method: 'POST', path: '/v1/messages', headers: { 'x-api-key': token }, agent: false },
      (response) => void text(response).then(() => resolve(response.statusCode ?? 0), reject),
    )
      .on('error', reject)
      .end(JSON.stringify(body))
  })

test('a copied token is good while its session is open, and for nothing as soon as it is closed or deleted', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const open = async () => {
    const { id } = await client.sessions.create()
    await client.session(id).execute('@text(hello)').complete()
    return { id, token: tokenOf(server, id) }
  }
  const [stays, closed, deleted] = [await open(), await open(), await open()]
  for (const { token } of [stays, closed, deleted]) expect(await callWith(server, token)).toBe(200)

  await client.session(closed.id).close()
  expect(await callWith(server, closed.token)).toBe(401)
  await client.sessions.delete(deleted.id)
  expect(await callWith(server, deleted.token)).toBe(401)
  expect(await callWith(server, stays.token)).toBe(200)

  // Neither a new server nor a new broker forgets which are which.
  const pid = server.brokerPid()
  if (pid === undefined) throw new Error('there is no broker')
  await server.kill9()
  kill(pid, 'SIGKILL')
  await server.restart()
  await until('the broker is up', async () => (await client.health()).modelApi.broker === 'up')
  expect(await callWith(server, stays.token)).toBe(200)
  for (const { token } of [closed, deleted]) expect(await callWith(server, token)).toBe(401)
  await client.session(stays.id).execute('@text(goes on)').complete()
})
