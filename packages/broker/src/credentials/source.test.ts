import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import type { Secret } from '../config.ts'
import { createSource, type Renewed } from './source.ts'

type OAuth = Extract<Secret, { kind: 'oauth' }>

/** A token endpoint that follows a script; what it was asked is kept. */
const tokenEndpoint = async (answer: (call: number) => { status?: number; body: unknown }) => {
  const asked: unknown[] = []
  const server = createServer(async (request, response) => {
    asked.push(JSON.parse(await text(request)))
    const { status = 200, body } = answer(asked.length)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const close = async () => void server.close()
  return { url: `http://127.0.0.1:${port}/token`, asked, [Symbol.asyncDispose]: close }
}

const oauth = (tokenUrl: string, changes: Partial<OAuth> = {}): OAuth => ({
  kind: 'oauth',
  accessToken: 'old',
  refreshToken: 'refresh-1',
  expiresAt: 0,
  tokenUrl,
  clientId: 'client',
  lineage: 'a',
  ...changes,
})
const tokens = (call: number) => ({
  body: { access_token: `new-${call}`, refresh_token: `refresh-${call + 1}`, expires_in: 3600 },
})

test('however many are refused at once, one renews, and a refusal of an older token renews nothing', async () => {
  await using endpoint = await tokenEndpoint(tokens)
  const renewed: Renewed[] = []
  const source = createSource(oauth(endpoint.url), { onRenewed: (each) => renewed.push(each), now: () => 1000 })
  const old = await source.current()
  expect(old).toEqual({ kind: 'oauth-token', value: 'old' })
  const all = await Promise.all(Array.from({ length: 50 }, () => source.refresh(old)))
  expect(new Set(all.map((material) => JSON.stringify(material)))).toEqual(
    new Set([JSON.stringify({ kind: 'oauth-token', value: 'new-1' })]),
  )
  expect(await source.refresh(old)).toEqual({ kind: 'oauth-token', value: 'new-1' })
  expect(endpoint.asked).toEqual([{ grant_type: 'refresh_token', refresh_token: 'refresh-1', client_id: 'client' }])
  expect(renewed).toEqual([{ accessToken: 'new-1', refreshToken: 'refresh-2', expiresAt: 3_601_000 }])
})

test('a token that has run out is renewed before it is used, with the newest refresh token', async () => {
  await using endpoint = await tokenEndpoint(tokens)
  let now = 0
  const source = createSource(oauth(endpoint.url, { expiresAt: 100_000 }), { onRenewed: () => {}, now: () => now })
  expect(await source.current()).toMatchObject({ value: 'old' })
  now = 50_000
  const both = await Promise.all([source.current(), source.current()])
  expect(both.map((material) => 'value' in material && material.value)).toEqual(['new-1', 'new-1'])
  now += 3_600_000
  expect(await source.current()).toMatchObject({ value: 'new-2' })
  expect(endpoint.asked.at(-1)).toMatchObject({ refresh_token: 'refresh-2' })
})

test.each([
  [{ status: 400, body: { error: 'invalid_grant', refresh_token: 'refresh-1' } }, 'answered 400'],
  [{ body: { nothing: true } }, 'gave no token'],
  [{ body: { access_token: 'with space' } }, 'gave no token'],
])('a refusal to renew (%j) rejects without a secret, and the next one asks again', async (answer, message) => {
  await using endpoint = await tokenEndpoint((call) => (call === 1 ? answer : tokens(call)))
  const source = createSource(oauth(endpoint.url, { accessToken: '' }), { onRenewed: () => {} })
  const error = await source.current().catch(String)
  expect(error).toContain(message)
  expect(error).not.toMatch(/refresh-1|with space/)
  expect(await source.current()).toMatchObject({ value: 'new-2' })
})

test('what has no refresh token cannot be renewed', async () => {
  const source = createSource({ kind: 'api-key', value: 'k' }, { onRenewed: () => {} })
  expect(await source.refresh(await source.current())).toBeUndefined()
})
