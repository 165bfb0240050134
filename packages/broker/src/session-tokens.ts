import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mintSessionToken, tokenKey, type SessionIdentity } from './token.ts'

/**
 * Tokens are good from when they are given until they are revoked: so long an empty file of the session's name lies in the
 * broker's folder, through restarts of server and broker.
 */
export type SessionTokens = {
  give(identity: SessionIdentity): string
  revoke(sessionId: string): void
  isGood(sessionId: string): boolean
  /** Ids of the sessions whose tokens are good. */
  sessions(): string[]
}

export const sessionTokens = (brokerDir: string): SessionTokens => {
  const key = tokenKey(brokerDir)
  const dir = join(brokerDir, 'sessions')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return {
    give: (identity) => {
      const token = mintSessionToken(key, identity)
      writeFileSync(join(dir, identity.sessionId), '', { mode: 0o600 })
      return token
    },
    revoke: (sessionId) => rmSync(join(dir, sessionId), { force: true }),
    isGood: (sessionId) => statSync(join(dir, sessionId), { throwIfNoEntry: false }) !== undefined,
    sessions: () => readdirSync(dir),
  }
}
