import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { scriptedApi } from '@aicm/broker'
import { routes } from '@aicm/protocol'
import { createClient } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { expect } from 'vitest'
import { send } from './lib/http.ts'
import { allRoutes, pathWith, unknownId, validBody } from './lib/routes.ts'
import { logOf, pendingApproval } from './lib/turns.ts'
import { serve } from './lib/serve.ts'

/** Secrets that can be told from everything else go in at every place where secrets go in; then they are looked for. */

const test = requires('claude', 'linux')
const canary = (name: string): string => `canary-${name}-${randomBytes(12).toString('hex')}`

/** A Messages API with a token endpoint: the answers quote what they were sent, as a careless upstream would. */
const carelessUpstream = async (renewed: { accessToken: string; refreshToken: string }) => {
  const api = scriptedApi()
  const asked: string[] = []
  const served = await serve(async (request, response) => {
    const { authorization, 'x-api-key': apiKey } = request.headers
    if (request.url === '/token') {
      asked.push(await text(request))
      response.writeHead(200, { 'content-type': 'application/json' })
      return void response.end(
        JSON.stringify({
          access_token: renewed.accessToken,
          refresh_token: renewed.refreshToken,
          expires_in: 60_000,
        }),
      )
    }
    asked.push(`${authorization} ${String(apiKey)}`)
    if (authorization !== undefined && !authorization.includes(renewed.accessToken)) {
      request.resume()
      return void response.writeHead(401, { 'content-type': 'application/json' }).end('{}')
    }
    api.handler(request, response)
  })
  return { ...served, asked }
}

const filesIn = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

test('no secret is in any log, event, answer, error, file, environment or command line', async () => {
  const secretKey = randomBytes(32)
  const secrets = {
    shared: canary('shared-key'),
    own: canary('own-key'),
    second: canary('second-shared-key'),
    access: canary('access-token'),
    refresh: canary('refresh-token'),
    newAccess: canary('renewed-access-token'),
    newRefresh: canary('renewed-refresh-token'),
    secretKeyHex: secretKey.toString('hex'),
  }
  await using upstream = await carelessUpstream({ accessToken: secrets.newAccess, refreshToken: secrets.newRefresh })
  await using server = await startTestServer({
    args: ['--log-level', 'debug'],
    env: {
      ANTHROPIC_API_KEY: secrets.shared,
      ANTHROPIC_BASE_URL: upstream.url,
      AICM_SECRET_KEY: secrets.secretKeyHex,
      AICM_OAUTH_TOKEN_URL: `${upstream.url}/token`,
      AICM_OAUTH_CLIENT_ID: 'client',
    },
  })
  const adaToken = await server.addUser('ada')
  const [admin, token] = [await server.client(), await server.token()]
  await using ada = createClient({ url: server.url, token: adaToken })
  const answers: string[] = []
  const note = (value: unknown): void => void answers.push(JSON.stringify(value))

  note(await ada.call(routes.credentials.create, { body: { kind: 'api-key', value: secrets.own } }))
  note(await admin.call(routes.credentials.create, { body: { kind: 'api-key', value: secrets.second, shared: true } }))
  // A body that is refused must not be quoted either.
  for (const body of [
    { kind: 'api-key', value: `${secrets.own} ` },
    { kind: 'oauth-token', value: secrets.own, shared: true },
    { kind: secrets.own },
    { [secrets.own.slice(0, 5)]: 1, kind: 'api-key', value: secrets.own, upstream: 'ftp://x' },
    `{"value":"${secrets.own}"`,
  ])
    answers.push((await send(`${server.url}/v1/credentials`, 'POST', { token: adaToken, body })).text)

  for (const client of [admin, ada]) {
    const { id } = await client.sessions.create()
    const session = client.session(id)
    const turn = session.execute('@text(a) @bash(touch x; env; cat /proc/*/environ /proc/*/cmdline 2>&1) @text(b)')
    await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
    note(await turn.complete())
    note(await session.execute('@error(401)').complete())
    note(await session.execute('@error(400)').complete())
    note(await logOf(client, id))
  }
  // The subscription's own access token is refused, renewed, and the renewed one used.
  note(
    await ada.call(routes.credentials.create, {
      body: { kind: 'oauth', value: secrets.access, refreshToken: secrets.refresh },
    }),
  )
  for (const { id, kind } of (await ada.call(routes.credentials.list, {})).credentials)
    if (kind === 'api-key') await ada.call(routes.credentials.delete, { params: { id } })
  const { id } = await ada.sessions.create()
  note(await ada.session(id).execute('@text(renewed)').complete())
  note(await logOf(ada, id))
  await server.restart()
  note(await ada.session(id).execute('@text(after a restart)').complete())

  for (const route of allRoutes)
    for (const bearer of [token, adaToken]) {
      const body = route.body === undefined ? {} : { body: validBody(route) }
      answers.push(
        (await send(`${server.url}${pathWith(route, unknownId(route))}`, route.method, { token: bearer, ...body }))
          .text,
      )
    }

  // They were used: a test that looks for what was never there finds nothing.
  const asked = upstream.asked.join('\n')
  for (const used of ['shared', 'own', 'access', 'refresh', 'newAccess'] as const)
    expect(asked, used).toContain(secrets[used])

  const found: string[] = []
  const look = (where: string, content: string): void => {
    for (const [name, secret] of Object.entries(secrets))
      if (content.includes(secret)) found.push(`${name} in ${where}`)
    for (const [name, key] of Object.entries({ jwt: jwtKey, secretKey }))
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
        if (content.includes(key.toString(form))) found.push(`${name} (${form}) in ${where}`)
  }
  const jwtKey = readFileSync(join(server.dataDir, 'jwt.key'))
  answers.forEach((answer) => look('an answer', answer))
  look('the output', server.output())
  const processes = [...server.children().map(({ pid }) => pid), server.brokerPid() ?? 0]
  expect(processes.length).toBeGreaterThan(1)
  for (const pid of processes)
    for (const file of ['environ', 'cmdline'])
      look(`/proc/${pid}/${file}`, readFileSync(`/proc/${pid}/${file}`, 'latin1'))
  look('the command line of the server', readFileSync(`/proc/${server.pid()}/cmdline`, 'latin1'))
  const files = filesIn(server.dataDir).filter(
    (path) => !path.endsWith('/jwt.key') && statSync(path).size < 256 * 2 ** 20,
  )
  expect(files.some((path) => path.endsWith('server.log')) && files.some((path) => path.includes('aicm.db'))).toBe(true)
  expect(files.some((path) => path.includes('/ledger/')) && files.some((path) => path.endsWith('broker.log'))).toBe(
    true,
  )
  for (const path of files) look(path, readFileSync(path, 'latin1'))
  expect(found).toEqual([])
}, 120_000)

test('the key of stored credentials is made at the first start for its owner alone, and with another one they stay shut', async () => {
  await using server = await startTestServer()
  const client = await server.client()
  const { id } = await client.call(routes.credentials.create, { body: { kind: 'api-key', value: 'sk-to-be-locked' } })
  const path = join(server.dataDir, 'secret.key')
  expect([statSync(path).mode & 0o777, statSync(path).size]).toEqual([0o600, 32])
  const state = async () =>
    (await client.call(routes.credentials.list, {})).credentials.find((credential) => credential.id === id)?.state
  await server.restart()
  await expect.poll(state).toBe('ready')
  await server.terminate()
  const { writeFileSync } = await import('node:fs')
  writeFileSync(path, randomBytes(32))
  await server.restart()
  await expect.poll(state).toBe('unreadable')
})
