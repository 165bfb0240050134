export type UserRecord = {
  id: string
  /** Unique, compared without case. */
  username: string
  /** argon2id, in its own encoded form. */
  passwordHash: string
  role: 'admin' | 'member' | 'viewer'
  createdAt: number
}

/** `tokenHash` is sha256 of the token, hex. A family is one login and all tokens that came from it. */
export type RefreshTokenRecord = {
  tokenHash: string
  familyId: string
  userId: string
  createdAt: number
  expiresAt: number
}

export type UserStore = {
  /** Rejects with AppError invalid_request when the name is taken. */
  create(record: UserRecord): Promise<void>
  get(id: string): Promise<UserRecord | undefined>
  findByUsername(username: string): Promise<UserRecord | undefined>
  count(): Promise<number>
  saveRefreshToken(record: RefreshTokenRecord): Promise<void>
}
