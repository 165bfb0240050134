import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { scriptedApi } from '@aicm/broker'
import type { Client } from '@aicm/client'
import { routes, type Input } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { expectRefusal, send } from './lib/http.ts'
import { logOf, pendingApproval } from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'
import { serve } from './lib/serve.ts'

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
  const served = await serve(async (request, response) => {
    if (request.url === '/token') {
      const { refresh_token: refreshToken } = JSON.parse(await text(request)) as { refresh_token: string }
      state.renewals.push(refreshToken)
      await state.held
      const renewed = { access_token: `access-of-${refreshToken}`, refresh_token: `${refreshToken}+`, expires_in: 9999 }
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(renewed))
    }
    state.tokens.push(request.headers.authorization?.replace('Bearer ', '') ?? String(request.headers['x-api-key']))
    api.handler(request, response)
  })
  const { url } = served
  const env = { ANTHROPIC_BASE_URL: url, AICM_OAUTH_TOKEN_URL: `${url}/token`, AICM_OAUTH_CLIENT_ID: 'client' }
  return { ...served, ...state, state, env }
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

test('a subscription pays for no prompt of a driver, by no way that prompts come, and for those of its owner', async () => {
  await using upstream = await subscriptionApi()
  await using server = await startTestServer({ env: upstream.env })
  const [ada, bobsToken] = [await server.client({ token: await server.addUser('ada') }), await server.addUser('bob')]
  const bob = await server.client({ token: bobsToken })
  const add = (body: Input<typeof routes.credentials.create>['body']) => ada.call(routes.credentials.create, { body })
  await add({ kind: 'oauth-token', value: 'subscription-of-ada' })
  const { id } = await ada.sessions.create()
  await ada.call(routes.shares.shareSession, { params: { id }, body: { username: 'bob', access: 'driver' } })

  const refused = { code: 'subscription_owner_only', hint: expect.stringContaining('API key') }
  const url = `${server.url}/v1/sessions/${id}/execute`
  const overHttp = await send(url, 'POST', { token: bobsToken, body: { prompt: '@text(no)' } })
  expectRefusal(overHttp, 'subscription_owner_only')
  expect(overHttp).toMatchObject({ status: 403, body: { error: refused } })
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${bobsToken}` } })
  socket.send({ type: 'execute', ref: 'r', sessionId: id, prompt: '@text(no)' })
  expect(await socket.next('error')).toMatchObject({ ref: 'r', error: refused })
  socket.close()
  await using home = await tempDir()
  const cli = startAicm(server, home.path, ['run', '-s', id, '@text(no)'], { env: { AICM_TOKEN: bobsToken } })
  expect(await cli.ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(refused.code) })
  expect(upstream.tokens).toEqual([])

  expect(await ada.session(id).execute('@text(hers)').complete()).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['subscription-of-ada']))
  // With a key beside it the driver's calls go out with that, though the subscription is older.
  const key = await add({ kind: 'api-key', value: 'sk-key-of-ada' })
  upstream.tokens.length = 0
  expect(await bob.session(id).execute('@text(his)').complete()).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['sk-key-of-ada']))
  upstream.tokens.length = 0
  expect(await ada.session(id).execute('@text(hers again)').complete()).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['subscription-of-ada']))

  // What was accepted while there was a key: a turn that works, and a prompt that waits behind it.
  const works = bob.session(id).execute('@bash(touch a) @text(behind the tool)')
  const { approvalId } = await pendingApproval(ada.session(id))
  const waits = bob.session(id).execute('@text(waits)')
  await waits.accepted
  await ada.call(routes.credentials.delete, { params: { id: key.id } })
  upstream.tokens.length = 0
  // The owner's answer does not make it the owner's prompt.
  await ada.approvals.answer(approvalId, { decision: 'allow' })
  expect(await works.complete()).toMatchObject({ result: 'error' })
  expect(await waits.complete()).toMatchObject({ result: 'error', reason: refused.code })
  expect(upstream.tokens).toEqual([])
  const errors = (await logOf(ada, id)).filter((message) => message.type === 'error')
  expect(errors).toMatchObject([{ code: 'auth_required' }, refused])

  // A turn of the owner's that a driver allows a tool in is the owner's.
  const hers = ada.session(id).execute('@bash(touch a) @text(at her expense)')
  const asked = await pendingApproval(bob.session(id), errors.at(-1)?.seq)
  await bob.approvals.answer(asked.approvalId, { decision: 'allow' })
  expect(await hers.complete()).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['subscription-of-ada']))
})

test('a subscription that is added while a turn of a driver runs does not pay for it, through a kill of server and broker', async () => {
  await using upstream = await subscriptionApi()
  await using server = await startTestServer({ env: { ...upstream.env, ANTHROPIC_API_KEY: 'sk-of-the-server' } })
  const [ada, bob] = [
    await server.client({ token: await server.addUser('ada') }),
    await server.client({ token: await server.addUser('bob') }),
  ]
  const { id } = await ada.sessions.create()
  await ada.call(routes.shares.shareSession, { params: { id }, body: { username: 'bob', access: 'driver' } })
  const turn = bob.session(id).execute('@bash(touch a) @bash(touch b) @text(at the end)')
  const first = await pendingApproval(bob.session(id))
  await ada.call(routes.credentials.create, { body: { kind: 'oauth-token', value: 'subscription-of-ada' } })
  await bob.approvals.answer(first.approvalId, { decision: 'allow' })
  const second = await pendingApproval(bob.session(id), first.seq + 1)
  const pid = server.brokerPid()
  if (pid === undefined) throw new Error('there is no broker')
  await server.kill9()
  kill(pid, 'SIGKILL')
  await server.restart()
  await bob.approvals.answer(second.approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect(new Set(upstream.tokens)).toEqual(new Set(['sk-of-the-server']))
  expect(await ada.session(id).execute('@text(hers)').complete()).toMatchObject({ result: 'success' })
  expect(upstream.tokens.at(-1)).toBe('subscription-of-ada')
})
