import { randomBytes } from 'node:crypto'
import type { Tokens, User } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { UserRecord, UserStore } from '../storage/user-store.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { newRefreshToken, refreshTokenHash, type AccessTokens } from './tokens.ts'

const refreshLifeMs = 30 * 24 * 3600 * 1000

export const viewUser = ({ id, username, role }: UserRecord): User => ({ id, username, role })

export type Accounts = {
  /** Rejects with invalid_credentials, in the same time whether the user exists or not. */
  login(username: string, password: string): Promise<Tokens>
  /**
   * Makes the user `admin` when there is no user yet. Resolves with the password when it was made up here. `lostId` is the id
   * of an admin whose account was lost, and whose sessions are still there.
   */
  createFirstAdmin(password: string | undefined, lostId?: string): Promise<{ password: string } | undefined>
}

export const createAccounts = (users: UserStore, accessTokens: AccessTokens, clock: Clock): Accounts => {
  // Checked when the user is unknown, so that both answers take the same time.
  let decoy: Promise<string> | undefined

  return {
    login: async (username, password) => {
      const user = await users.findByUsername(username)
      decoy ??= hashPassword(randomBytes(16).toString('hex'))
      const right = await verifyPassword(user?.passwordHash ?? (await decoy), password)
      if (user === undefined || !right)
        throw new AppError('invalid_credentials', 'The user name or the password is wrong.')
      const { token, expiresIn } = await accessTokens.issue(user.id)
      const refreshToken = newRefreshToken()
      const now = clock.now()
      await users.saveRefreshToken({
        tokenHash: refreshTokenHash(refreshToken),
        familyId: newUuid(),
        userId: user.id,
        createdAt: now,
        expiresAt: now + refreshLifeMs,
      })
      return { accessToken: token, refreshToken, tokenType: 'Bearer', expiresIn }
    },

    createFirstAdmin: async (given, lostId) => {
      if ((await users.count()) > 0) return undefined
      const password = given ?? randomBytes(15).toString('base64url')
      const now = clock.now()
      await users.create({
        id: lostId ?? newId('usr', now),
        username: 'admin',
        passwordHash: await hashPassword(password),
        role: 'admin',
        createdAt: now,
      })
      return given === undefined ? { password } : undefined
    },
  }
}
