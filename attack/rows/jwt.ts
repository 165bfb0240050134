import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { debianPython } from '@aicm/testing/requires'
import type { Row } from '../lib/row.ts'
import { decodePart, hmacJwt, stolenKey, unsignedJwt } from '../lib/signing-key.ts'

const mintProgram = fileURLToPath(new URL('../programs/mint.py', import.meta.url))

type Minted = { header: object; payload: object; alg: string }

/** The same tokens, minted by a library that is not ours. */
const mintWithPython = (key: Uint8Array, tokens: readonly Minted[]): string[] =>
  JSON.parse(
    execFileSync(debianPython, [mintProgram], {
      input: JSON.stringify({ key: Buffer.from(key).toString('base64'), tokens }),
      encoding: 'utf8',
    }),
  ) as string[]

export const jwt: Row = {
  name: 'jwt',
  title:
    'JWT: alg none or swapped, foreign kid, jku, jwk, array payload, other aud, iss, type, refresh as access, expired, no exp, not yet valid',
  expected: '401',
  run: async (attack, attempt) => {
    const { ask, alice, bob, dataDir } = await attack.shared()
    const use = async (token: string) =>
      (await ask('/v1/auth/me', { headers: { authorization: `Bearer ${token}` } })).seen
    const [headerPart = '', payloadPart = '', signature = ''] = alice.token.split('.')
    const [header, payload] = [decodePart(headerPart), decodePart(payloadPart)]
    attempt('the token itself', '200', await use(alice.token))

    const now = Math.floor(Date.now() / 1000)
    const without = (claim: string) => Object.fromEntries(Object.entries(payload).filter(([key]) => key !== claim))
    const keyPair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = keyPair.publicKey.export({ format: 'jwk' })
    const flaws: [string, object, object][] = [
      ['another audience', {}, { ...payload, aud: 'other' }],
      ['audiences, none of them ours', {}, { ...payload, aud: ['other', 'more'] }],
      ['no audience', {}, without('aud')],
      ['another issuer', {}, { ...payload, iss: 'https://evil.example' }],
      ['no issuer', {}, without('iss')],
      ['no subject', {}, without('sub')],
      ['a subject that is no text', {}, { ...payload, sub: { id: payload['sub'] } }],
      ['a user that is not there', {}, { ...payload, sub: 'usr_0123456789abcdefghjkmnpqrs' }],
      ['no id', {}, without('jti')],
      ['expired', {}, { ...payload, iat: now - 7200, exp: now - 3600 }],
      ['expired a second ago', {}, { ...payload, exp: now - 1 }],
      ['no expiry', {}, without('exp')],
      ['an expiry that is a text', {}, { ...payload, exp: '99999999999' }],
      ['an expiry that is null', {}, { ...payload, exp: null }],
      ['not yet valid', {}, { ...payload, nbf: now + 3600 }],
      ['type JWT', { typ: 'JWT' }, payload],
      ['type of a refresh token', { typ: 'rt+jwt' }, payload],
      ['type in the payload', { typ: undefined }, { ...payload, typ: 'at+jwt' }],
      ['critical extensions', { crit: ['x'], x: true }, payload],
      ['no encoding of its payload', { crit: ['b64'], b64: false }, payload],
    ]
    const key = stolenKey(dataDir, alice.token)
    attempt('the key in the data folder', 'found', key === undefined ? 'not found' : 'found')
    if (key !== undefined) {
      // Held against the same token without a flaw: the flaw alone decides.
      attempt('minted anew', '200', await use(hmacJwt(header, payload, key)))
      for (const [name, more, claims] of flaws)
        attempt(name, '401', await use(hmacJwt({ ...header, ...more }, claims, key)))
      for (const list of [[], [payload], 'text', 5, null])
        attempt(`a payload that is ${JSON.stringify(list).slice(0, 20)}`, '401', await use(hmacJwt(header, list, key)))
      for (const [alg, digest] of [
        ['HS384', 'sha384'],
        ['HS512', 'sha512'],
        ['hs256', 'sha256'],
        ['HS256 ', 'sha256'],
      ] as const)
        if (alg !== header['alg'])
          attempt(`alg ${alg}`, '401', await use(hmacJwt({ ...header, alg }, payload, key, digest)))
      const life = Number(payload['exp']) - Number(payload['iat'])
      attempt('the life of a token', 'at most 15 minutes', life <= 900 ? 'at most 15 minutes' : `${life} s`)

      const minted: [string, string, Minted][] = [
        ['right', '200', { header, payload, alg: 'HS256' }],
        ['expired', '401', { header, payload: { ...payload, exp: now - 10 }, alg: 'HS256' }],
        ['another audience', '401', { header, payload: { ...payload, aud: 'other' }, alg: 'HS256' }],
        ['type JWT', '401', { header: { ...header, typ: 'JWT' }, payload, alg: 'HS256' }],
        ['HS512', '401', { header: { ...header, alg: 'HS512' }, payload, alg: 'HS512' }],
        ['none', '401', { header: { ...header, alg: 'none' }, payload, alg: 'none' }],
      ]
      const tokens = mintWithPython(
        key,
        minted.map(([, , one]) => one),
      )
      for (const [at, [name, expected]] of minted.entries())
        attempt(`minted by PyJWT: ${name}`, expected, await use(tokens[at] ?? ''))
    }

    for (const alg of ['none', 'None', 'NONE', 'nOnE', ''])
      attempt(`alg ${JSON.stringify(alg)}`, '401', await use(unsignedJwt({ ...header, alg }, payload)))
    attempt('no alg', '401', await use(unsignedJwt({ typ: header['typ'] }, payload)))
    attempt('no signature', '401', await use(`${headerPart}.${payloadPart}.`))
    attempt('no signature and no dot', '401', await use(`${headerPart}.${payloadPart}`))
    attempt('the signature of another', '401', await use(`${headerPart}.${payloadPart}.${bob.token.split('.')[2]}`))
    attempt("another's payload", '401', await use(`${headerPart}.${bob.token.split('.')[1]}.${signature}`))
    attempt('a signature cut short', '401', await use(alice.token.slice(0, -3)))
    attempt('a signature and more', '401', await use(`${alice.token}AAAA`))
    const last = signature.at(-1) === 'A' ? 'B' : 'A'
    attempt(
      'a bit of the signature turned',
      '401',
      await use(`${headerPart}.${payloadPart}.${last}${signature.slice(1)}`),
    )
    for (const guessed of ['', 'secret', 'aicm', '0'.repeat(32)])
      attempt(
        `signed with ${JSON.stringify(guessed)}`,
        '401',
        await use(hmacJwt(header, payload, Buffer.from(guessed))),
      )
    attempt('signed with 32 zeros', '401', await use(hmacJwt(header, payload, Buffer.alloc(32))))
    for (const [name, more] of [
      ['kid of a file', { kid: '../../../../dev/null' }],
      ['kid of an empty file', { kid: '/dev/null' }],
      ['kid with SQL', { kid: "' UNION SELECT ''--" }],
      ['jku', { jku: 'http://127.0.0.1:9/jwks.json', kid: 'x' }],
      ['x5u', { x5u: 'http://127.0.0.1:9/x.pem' }],
    ] as const)
      for (const secret of [Buffer.alloc(0), Buffer.from('guessed')])
        attempt(
          `${name}, signed with ${secret.length} bytes`,
          '401',
          await use(hmacJwt({ ...header, ...more }, payload, secret)),
        )
    const unsigned = [{ ...header, alg: 'ES256', jwk }, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const signed = sign('sha256', Buffer.from(unsigned), { key: keyPair.privateKey, dsaEncoding: 'ieee-p1363' })
    attempt('a jwk of its own', '401', await use(`${unsigned}.${signed.toString('base64url')}`))
    const pem = keyPair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    attempt(
      'signed with a public key as the secret',
      '401',
      await use(hmacJwt({ ...header, jwk }, payload, Buffer.from(pem))),
    )
    for (const text of [
      'a.b.c',
      '..',
      'e30.e30.e30',
      `${alice.token} `,
      `${alice.token},x`,
      alice.token.replaceAll('.', '%2e'),
    ])
      attempt(`${text.length > 20 ? 'a token and more' : text}`, text.endsWith(' ') ? '200' : '401', await use(text))

    const { body } = await ask('/v1/auth/login', {
      method: 'POST',
      body: { username: bob.username, password: bob.password },
    })
    const { refreshToken = '' } = body as { refreshToken?: string }
    attempt('a refresh token as an access token', '401', await use(refreshToken))
  },
}
