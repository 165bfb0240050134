import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { scriptedApi } from '@aicm/broker'
import type { Client } from '@aicm/client'
import { routes } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'

/** Subscriptions' tokens: what is renewed of them, and whom they serve. */

const test = requires('claude', 'linux')

/** A Messages API that takes what its token endpoint gives; a renewal may be held there. */
const subscriptionApi = async () => {
  const api = scriptedApi()
  const state = {
    /** Refresh tokens that were shown, and access tokens that calls came with. */
    renewals: [] as string[],
    tokens: [] as string[],
    held: undefined as Promise<void> | undefined,
  }
  const server = createServer(async (request, response) => {
    if (request.url === '/token') {
      const { refresh_token: refreshToken } = JSON.parse(await text(request)) as { refresh_token: string }
      state.renewals.push(refreshToken)
      await state.held
      const renewed = { access_token: `access-of-${refreshToken}`, refresh_token: `${refreshToken}+`, expires_in: 9999 }
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(renewed))
    }
    state.tokens.push(request.headers.authorization?.replace('Bearer ', '') ?? String(request.headers['x-api-key']))
    api.handler(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const close = async () => {
    server.close()
    server.closeAllConnections()
  }
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const env = { ANTHROPIC_BASE_URL: url, AICM_OAUTH_TOKEN_URL: `${url}/token`, AICM_OAUTH_CLIENT_ID: 'client' }
  return { ...state, state, env, [Symbol.asyncDispose]: close }
}

const turn = async (client: Client, prompt: string) => {
  const { id } = await client.sessions.create()
  return client.session(id).execute(prompt).complete()
}

test('what an owner has replaced is not what a renewal that ends later brings back', async () => {
  await using upstream = await subscriptionApi()
  await using server = await startTestServer({ env: upstream.env })
  const client = await server.client()
  const { id } = await client.call(routes.credentials.create, {
    body: { kind: 'oauth', refreshToken: 'refresh-first' },
  })
  const { promise, resolve: release } = Promise.withResolvers<void>()
  upstream.state.held = promise
  const under = turn(client, '@text(under way)')
  await until('a renewal is under way', () => upstream.renewals.includes('refresh-first'))
  await client.call(routes.credentials.update, { params: { id }, body: { refreshToken: 'refresh-second' } })
  release()
  expect(await under).toMatchObject({ result: 'success' })

  const broker = join(server.dataDir, 'broker')
  await until('the server has taken what was renewed', () =>
    readFileSync(join(broker, 'broker.log'), 'utf8').includes('"renewed"') && existsSync(join(broker, 'renewed'))
      ? readdirSync(join(broker, 'renewed')).length === 0
      : false,
  )
  const entries = await client.call(routes.audit.list, { query: { action: 'credentials.renewed' } })
  expect(entries.entries).toEqual([])
  // What is stored now is all that a new server and a new broker know.
  const pid = server.brokerPid()
  if (pid === undefined) throw new Error('there is no broker')
  await server.kill9()
  kill(pid, 'SIGKILL')
  await server.restart()
  upstream.tokens.length = 0
  expect(await turn(client, '@text(replaced)')).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['access-of-refresh-second']))
  expect(upstream.renewals).toEqual(['refresh-first', 'refresh-second'])
})

test('that tokens were renewed is in the audit log, with whose they are and without a secret', async () => {
  await using upstream = await subscriptionApi()
  await using server = await startTestServer({ env: upstream.env })
  const client = await server.client({ token: await server.addUser('ada') })
  const { id } = await client.call(routes.credentials.create, {
    body: { kind: 'oauth', refreshToken: 'refresh-canary' },
  })
  expect(await turn(client, '@text(renewed)')).toMatchObject({ result: 'success' })
  const entries = async () => {
    const query = { action: 'credentials.renewed' as const }
    return (await (await server.client()).call(routes.audit.list, { query })).entries
  }
  await until('the server has taken what was renewed', async () => (await entries()).length > 0)
  expect(await entries()).toMatchObject([
    { target: id, userId: (await client.me()).id, result: 'ok', credential: null, detail: { kind: 'oauth' } },
  ])
  expect(JSON.stringify(await entries())).not.toMatch(/canary/)
})
