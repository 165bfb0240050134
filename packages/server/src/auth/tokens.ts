import { jwtVerify, SignJWT, type JWTHeaderParameters } from 'jose'
import { LRUCache } from 'lru-cache'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import { newUuid } from '../lib/id.ts'
import type { Identity } from './identity.ts'
import type { SigningKeys } from './signing-keys.ts'

export type AccessTokens = {
  /** A signed token of a user's login, and its life in seconds. */
  issue(subject: { userId: string; loginId: string }): Promise<{ token: string; expiresIn: number }>
  /** Rejects with AppError unauthorized. Whether the login still stands is not asked here. */
  verify(token: string): Identity | Promise<Identity>
}

const issuer = 'aicm'
const audience = 'aicm-api'
const type = 'at+jwt'
export const accessLifeSeconds = 15 * 60
/** Verified tokens that are remembered: a verification costs 90 µs, a look-up less than one. Whoever reads this memory has the key too. */
const remembered = 10_000

export const createAccessTokens = (keys: SigningKeys, clock: Clock): AccessTokens => {
  const verified = new LRUCache<string, Identity>({ max: remembered })

  /** By its id among our own: what a header says of keys elsewhere is not looked at. */
  const keyOf = ({ kid }: JWTHeaderParameters): Uint8Array => {
    const key = typeof kid === 'string' ? keys.find(kid) : undefined
    if (key === undefined) throw new Error('signed with an unknown key')
    return key
  }

  const check = async (token: string): Promise<Identity> => {
    try {
      const { payload } = await jwtVerify(token, keyOf, {
        algorithms: ['HS256'],
        issuer,
        audience,
        typ: type,
        requiredClaims: ['exp', 'iat', 'sub', 'sid', 'jti'],
        currentDate: new Date(clock.now()),
      })
      const { sub, sid, exp } = payload
      if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number')
        throw new Error('claims of the wrong type')
      return { userId: sub, grant: { kind: 'login', id: sid }, expiresAt: exp * 1000 }
    } catch (error) {
      throw new AppError('unauthorized', 'The access token is not valid or has expired.', { cause: error })
    }
  }

  const verify = async (token: string): Promise<Identity> => {
    const identity = await check(token)
    verified.set(token, identity)
    return identity
  }

  return {
    issue: async ({ userId, loginId }) => {
      const now = Math.floor(clock.now() / 1000)
      const { id, secret } = keys.newest()
      const token = await new SignJWT({ sid: loginId })
        .setProtectedHeader({ alg: 'HS256', typ: type, kid: id })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setJti(newUuid())
        .setIssuedAt(now)
        .setExpirationTime(now + accessLifeSeconds)
        .sign(secret)
      return { token, expiresIn: accessLifeSeconds }
    },
    verify: (token) => {
      const known = verified.get(token)
      return known !== undefined && known.expiresAt > clock.now() ? known : verify(token)
    },
  }
}
