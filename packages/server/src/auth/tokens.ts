import { createHash, randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import { newUuid } from '../lib/id.ts'

/** Who a request comes from. */
export type Identity = { userId: string; expiresAt: number }

export type AccessTokens = {
  /** A signed token that names the user, and its life in seconds. */
  issue(userId: string): Promise<{ token: string; expiresIn: number }>
  /** Rejects with AppError unauthorized. */
  verify(token: string): Promise<Identity>
}

const issuer = 'aicm'
const audience = 'aicm-api'
const type = 'at+jwt'
/** A working day: there is no refresh yet, see docs/decisions. */
const lifeSeconds = 12 * 3600
/** Verified tokens that are remembered: a verification costs 90 µs, a look-up less than one. Whoever reads this memory has the key too. */
const remembered = 10_000

/** `key` is the signing secret: 32 random bytes. */
export const createAccessTokens = (key: Uint8Array, clock: Clock): AccessTokens => {
  const verified = new LRUCache<string, Identity>({ max: remembered })

  const check = async (token: string): Promise<Identity> => {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['HS256'],
        issuer,
        audience,
        typ: type,
        requiredClaims: ['exp', 'sub', 'jti'],
        currentDate: new Date(clock.now()),
      })
      if (typeof payload.sub !== 'string' || typeof payload.exp !== 'number')
        throw new Error('claims of the wrong type')
      return { userId: payload.sub, expiresAt: payload.exp * 1000 }
    } catch (error) {
      throw new AppError('unauthorized', 'The access token is not valid or has expired.', { cause: error })
    }
  }

  return {
    issue: async (userId) => {
      const now = Math.floor(clock.now() / 1000)
      const token = await new SignJWT()
        .setProtectedHeader({ alg: 'HS256', typ: type })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setJti(newUuid())
        .setIssuedAt(now)
        .setExpirationTime(now + lifeSeconds)
        .sign(key)
      return { token, expiresIn: lifeSeconds }
    },
    verify: async (token) => {
      const known = verified.get(token)
      if (known !== undefined && known.expiresAt > clock.now()) return known
      const identity = await check(token)
      verified.set(token, identity)
      return identity
    },
  }
}

export const newRefreshToken = (): string => randomBytes(32).toString('base64url')

export const refreshTokenHash = (token: string): string => createHash('sha256').update(token).digest('hex')
