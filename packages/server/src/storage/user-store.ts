import type { Role } from '@aicm/protocol'

export type UserRecord = {
  id: string
  /** Unique, compared without case. */
  username: string
  /** argon2id, in its own encoded form. */
  passwordHash: string
  /** Somebody else has set the password: until it is changed, a login is good for nothing else. */
  mustChangePassword: boolean
  /** `<issuer> <sub>` of who logs in by an OpenID provider, and has no password; unique. */
  oidcId: string | null
  role: Role
  /** Since when the user may not log in; null for whoever may. */
  disabledAt: number | null
  createdAt: number
}

export type UserStore = {
  /** Rejects with AppError user_exists when the name is taken. */
  create(record: UserRecord): Promise<void>
  get(id: string): Promise<UserRecord | undefined>
  findByUsername(username: string): Promise<UserRecord | undefined>
  findByOidcId(oidcId: string): Promise<UserRecord | undefined>
  /** Oldest first. */
  list(): Promise<UserRecord[]>
  count(): Promise<number>
  update(
    id: string,
    changes: Partial<Pick<UserRecord, 'passwordHash' | 'mustChangePassword' | 'role' | 'disabledAt'>>,
  ): Promise<void>
  /** Removes the user's logins, API keys and shares too. */
  delete(id: string): Promise<void>
}
