import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
let good: string
let secret: Buffer
let kid: string
let claims: Record<string, unknown>
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
  good = await server.token()
  secret = readFileSync(join(server.dataDir, 'jwt.key'))
  kid = decodeProtectedHeader(good).kid ?? ''
  claims = decodeJwt(good)
})
afterAll(() => server?.stop())

const me = (token: string) => send(`${server.url}/v1/auth/me`, 'GET', { token })
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

type Header = Record<string, unknown>
const header = (): Header => ({ alg: 'HS256', typ: 'at+jwt', kid })
/** By hand: whatever the header says, signed with this. */
const minted = (head: Header, payload: unknown, key: string | Buffer = secret, hash = 'sha256'): string => {
  const unsigned = `${part(head)}.${part(payload)}`
  return `${unsigned}.${createHmac(hash, key).update(unsigned).digest('base64url')}`
}
const mintedRs = (head: Header, key: KeyObject): string => {
  const unsigned = `${part(head)}.${part(claims)}`
  return `${unsigned}.${sign('sha256', Buffer.from(unsigned), key).toString('base64url')}`
}
/** By another library. */
const library = (
  payload: Record<string, unknown>,
  options: jsonwebtoken.SignOptions = {},
  key: jsonwebtoken.Secret = secret,
): string =>
  jsonwebtoken.sign(payload, key, { algorithm: 'HS256', header: { alg: 'HS256', typ: 'at+jwt', kid }, ...options })

const without = (name: string): Record<string, unknown> => {
  const { [name]: _, ...rest } = claims
  return rest
}
const now = (): number => Math.floor(Date.now() / 1000)

test('what another library signs with the same key and claims is good: so the refusals below are for their own reason', async () => {
  expect((await me(library(claims))).status).toBe(200)
  expect((await me(minted(header(), claims))).status).toBe(200)
})

/** Each is the good token but for one thing. */
const attacks: Record<string, () => string> = {
  'alg none, without a signature': () => `${part({ ...header(), alg: 'none' })}.${part(claims)}.`,
  'alg None': () => `${part({ ...header(), alg: 'None' })}.${part(claims)}.`,
  'alg none, of the library': () =>
    jsonwebtoken.sign(claims, null, { algorithm: 'none', header: { alg: 'none', typ: 'at+jwt', kid } }),
  'alg none over a good signature': () => `${part({ ...header(), alg: 'none' })}.${good.split('.').slice(1).join('.')}`,
  'without a signature': () => `${good.split('.').slice(0, 2).join('.')}.`,
  'with two parts': () => good.split('.').slice(0, 2).join('.'),
  'with five parts': () => `${good}..`,
  'another algorithm with the same key': () => minted({ ...header(), alg: 'HS512' }, claims, secret, 'sha512'),
  'HS384 of the library': () => library(claims, { algorithm: 'HS384', header: { alg: 'HS384', typ: 'at+jwt', kid } }),
  'RS256 with a key of its own': () => mintedRs({ ...header(), alg: 'RS256' }, rsa.privateKey),
  'HS256 with a public key as the secret': () =>
    minted(header(), claims, rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()),
  'another secret': () => library(claims, {}, 'guessed'),
  'an empty secret': () => minted(header(), claims, ''),
  'no kid': () => minted({ alg: 'HS256', typ: 'at+jwt' }, claims),
  'a foreign kid': () => library(claims, { header: { alg: 'HS256', typ: 'at+jwt', kid: 'foreign' } }),
  'a kid that is a path': () => minted({ ...header(), kid: '../../../../dev/null' }, claims, ''),
  'a kid that is no text': () => minted({ ...header(), kid: ['x', kid] }, claims),
  'a kid that every object has': () => minted({ ...header(), kid: '__proto__' }, claims, ''),
  'a key in its header': () =>
    mintedRs({ ...header(), alg: 'RS256', jwk: rsa.publicKey.export({ format: 'jwk' }) }, rsa.privateKey),
  'a secret in its header': () =>
    minted({ ...header(), jwk: { kty: 'oct', k: Buffer.from('mine').toString('base64url') } }, claims, 'mine'),
  'a jku': () => minted({ ...header(), kid: 'theirs', jku: 'http://127.0.0.1:1/jwks.json' }, claims, 'mine'),
  'an x5u': () => minted({ ...header(), kid: 'theirs', x5u: 'http://127.0.0.1:1/cert.pem' }, claims, 'mine'),
  'a critical header that nobody knows': () => minted({ ...header(), crit: ['x'], x: 1 }, claims),
  unencoded: () => minted({ ...header(), b64: false, crit: ['b64'] }, claims),
  'an array as its claims': () => minted(header(), [claims]),
  'a text as its claims': () => minted(header(), 'admin'),
  'null as its claims': () => minted(header(), null),
  'another typ': () => library(claims, { header: { alg: 'HS256', typ: 'JWT', kid } }),
  'no typ': () => minted({ alg: 'HS256', kid }, claims),
  'another issuer': () => library({ ...claims, iss: 'somebody' }),
  'no issuer': () => library(without('iss')),
  'a list of issuers': () => minted(header(), { ...claims, iss: ['aicm'] }),
  'another audience': () => library({ ...claims, aud: 'another-api' }),
  'no audience': () => library(without('aud')),
  expired: () => library({ ...claims, exp: now() - 1 }),
  'no exp': () => library(without('exp')),
  'an exp that is a text': () => minted(header(), { ...claims, exp: `${now() + 600}` }),
  'an exp that is null': () => minted(header(), { ...claims, exp: null }),
  'not yet valid': () => library({ ...claims, nbf: now() + 60 }),
  'no subject': () => library(without('sub')),
  'another subject that there is not': () => library({ ...claims, sub: 'usr_0123456789abcdefghjkmnpqrs' }),
  'no login': () => library(without('sid')),
  'no jti': () => library(without('jti')),
  'no iat': () => minted(header(), without('iat')),
  'claims changed behind the signature': () => {
    const [head, , signature] = good.split('.')
    return `${head}.${part({ ...claims, exp: now() + 1e6 })}.${signature}`
  },
}

for (const [name, attack] of Object.entries(attacks))
  test(`refused: ${name}`, async () => {
    const token = attack()
    expectRefusal(await me(token), 'unauthorized')
    await expect(
      openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } }),
    ).rejects.toMatchObject({ status: 401 })
  })

test('a token that was accepted is not taken for good: refused is the same with another signature, and once it has expired', async () => {
  expect((await me(good)).status).toBe(200)
  const last = good.at(-1) === 'A' ? 'B' : 'A'
  expectRefusal(await me(`${good.slice(0, -2)}${last}${last}`), 'unauthorized')
  const soon = library({ ...claims, exp: now() + 2 })
  expect((await me(soon)).status).toBe(200)
  await expect.poll(async () => (await me(soon)).status, { timeout: 10_000 }).toBe(401)
})
