import type { Login, Tokens } from '@aicm/protocol'
import type { Audit } from '../audit/audit.ts'
import { recordOwnAct } from '../audit/own-act.ts'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import type { Database } from '../storage/database.ts'
import type { LoginRecord } from '../storage/login-store.ts'
import type { UserRecord } from '../storage/user-store.ts'
import type { AccessChanges } from './access-changes.ts'
import { hashesOf, newRefreshToken, nextRefreshToken } from './refresh-token.ts'
import type { AccessTokens } from './tokens.ts'

/** A login that nobody refreshes for so long ends. */
export const loginLifeMs = 30 * 24 * 3600_000
/**
 * So long it is known that a login was revoked: until the last access token of it has expired (15 minutes), by any clock that is
 * wrong by less than a day. Its refresh tokens are refused with the row, as revoked, and without it, as unknown: with the same
 * words.
 */
const revokedKeptMs = 24 * 3600_000
const mostAgent = 200

export type Logins = {
  /**
   * A new login of a user who has proved to be one, however that was done. Where there are too many then, those that were not
   * refreshed for longest end. Called for one at a time.
   */
  start(user: UserRecord, agent: string | undefined): Promise<Tokens>
  /** Rejects with invalid_refresh_token; with refresh_token_reused when it is not the newest, and then the login has ended. */
  refresh(refreshToken: string): Promise<Tokens>
  isRevoked(loginId: string): boolean
  /** Takes effect at once, and stays through restarts when this resolves. */
  revoke(userId: string, ids: string[]): Promise<void>
  list(userId: string): Promise<LoginRecord[]>
  /** Forgets the logins that have expired, and those that were revoked long ago. */
  tidy(): Promise<void>
}

export const viewLogin = (record: LoginRecord, currentId: string): Login => ({
  id: record.id,
  agent: record.agent,
  current: record.id === currentId,
  createdAt: isoTime(record.createdAt),
  usedAt: isoTime(record.usedAt),
  expiresAt: isoTime(record.expiresAt),
})

export const createLogins = async (
  { users, logins }: Pick<Database, 'users' | 'logins'>,
  {
    accessTokens,
    changes,
    clock,
    audit,
    most,
  }: { accessTokens: AccessTokens; changes: AccessChanges; clock: Clock; audit: Pick<Audit, 'record'>; most: number },
): Promise<Logins> => {
  // All that was revoked and could be shown again, and when that was written down (of those from before the start: by now).
  // Looked at with every request.
  const startedAt = clock.now()
  const revoked = new Map((await logins.listRevoked(startedAt)).map((id) => [id, startedAt]))

  const tokensOf = async (userId: string, loginId: string, refreshToken: string): Promise<Tokens> => {
    const { token, expiresIn } = await accessTokens.issue({ userId, loginId })
    return { accessToken: token, refreshToken, tokenType: 'Bearer', expiresIn }
  }

  const revoke: Logins['revoke'] = async (userId, ids) => {
    // Before it is on disk: a disk that is full must not keep a stolen token alive.
    for (const id of ids) revoked.set(id, Infinity)
    changes.changed(userId)
    const now = clock.now()
    await logins.revoke(ids, now)
    for (const id of ids) revoked.set(id, now)
  }

  /** Nobody asked for it: what was ended, and why, is told to whoever looks for it. */
  const endByItself = async (userId: string, ids: string[], reason: 'reused' | 'room'): Promise<void> => {
    await revoke(userId, ids)
    for (const target of ids)
      await recordOwnAct({ audit, users }, { action: 'logins.ended', userId, target, detail: { reason } })
  }

  const list: Logins['list'] = async (userId) => {
    const now = clock.now()
    return (await logins.list(userId)).filter(({ expiresAt }) => expiresAt > now)
  }

  const endSurplus = async (userId: string, newest: string): Promise<void> => {
    const others = (await list(userId)).filter(({ id }) => id !== newest)
    const surplus = others.sort((one, other) => other.usedAt - one.usedAt).slice(most - 1)
    if (surplus.length === 0) return
    await endByItself(
      userId,
      surplus.map(({ id }) => id),
      'room',
    )
  }

  return {
    start: async (user, agent) => {
      const now = clock.now()
      const refreshToken = newRefreshToken()
      const id = newId('lgn', now)
      await logins.create({
        id,
        userId: user.id,
        ...hashesOf(refreshToken),
        agent: agent?.slice(0, mostAgent).replaceAll(/[^\x20-\x7e]/g, '') ?? null,
        createdAt: now,
        usedAt: now,
        expiresAt: now + loginLifeMs,
        revokedAt: null,
      })
      await endSurplus(user.id, id)
      return tokensOf(user.id, id, refreshToken)
    },

    refresh: async (refreshToken) => {
      const { familyHash, tokenHash } = hashesOf(refreshToken)
      const invalid = (): AppError => new AppError('invalid_refresh_token', 'This refresh token is not valid any more.')
      const login = await logins.findByFamily(familyHash)
      const now = clock.now()
      if (login === undefined || login.expiresAt <= now || login.revokedAt !== null || revoked.has(login.id))
        throw invalid()
      const user = await users.get(login.userId)
      if (user === undefined || user.disabledAt !== null) throw invalid()
      const next = nextRefreshToken(refreshToken)
      const to = { tokenHash: hashesOf(next).tokenHash, usedAt: now, expiresAt: now + loginLifeMs }
      if (await logins.rotate(login.id, tokenHash, to)) return tokensOf(user.id, login.id, next)
      // Revoked meanwhile by somebody else, or: two have a token of this login, and nobody can tell who may.
      if (revoked.has(login.id)) throw invalid()
      await endByItself(user.id, [login.id], 'reused')
      throw new AppError('refresh_token_reused', 'This refresh token was used before.', {
        about: { userId: user.id, username: user.username, target: login.id },
      })
    },

    isRevoked: (loginId) => revoked.has(loginId),
    revoke,
    list,

    tidy: async () => {
      const now = clock.now()
      const before = now - revokedKeptMs
      await logins.deleteEnded({ expiredAt: now, revokedAt: before })
      for (const [id, at] of revoked) if (at <= before) revoked.delete(id)
    },
  }
}
