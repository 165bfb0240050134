/**
 * One login of a user, and all tokens that come from it. A refresh token has two parts: the first is the same in all of
 * them, the second changes each time. So whoever shows a token that is not the newest is known to have had one.
 */
export type LoginRecord = {
  id: string
  userId: string
  /** sha256 of the first part, hex. Unique. */
  familyHash: string
  /** sha256 of the newest token, hex. */
  tokenHash: string
  /** What the program that logged in calls itself. */
  agent: string | null
  createdAt: number
  /** When its newest tokens were made. */
  usedAt: number
  expiresAt: number
  revokedAt: number | null
}

export type LoginStore = {
  /** Rejects when there is no such user. */
  create(record: LoginRecord): Promise<void>
  findByFamily(familyHash: string): Promise<LoginRecord | undefined>
  /** Those of a user that were not revoked, newest first. */
  list(userId: string): Promise<LoginRecord[]>
  /** Replaces the token `from`; resolves with false when that is not the newest one, or the login was revoked. */
  rotate(id: string, from: string, to: Pick<LoginRecord, 'tokenHash' | 'usedAt' | 'expiresAt'>): Promise<boolean>
  revoke(ids: string[], at: number): Promise<void>
  /** The ids of all that were revoked and have not expired. */
  listRevoked(now: number): Promise<string[]>
  /** Removes those that expired or were revoked by then. */
  deleteEnded(by: { expiredAt: number; revokedAt: number }): Promise<void>
}
