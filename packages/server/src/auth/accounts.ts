import { randomBytes } from 'node:crypto'
import type { Account, Role, Tokens, User } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import { createSemaphore } from '../lib/semaphore.ts'
import type { UserRecord, UserStore } from '../storage/user-store.ts'
import type { AccessChanges } from './access-changes.ts'
import type { Logins } from './logins.ts'
import { hashPassword, verifyPassword } from './passwords.ts'

export const viewUser = ({ id, username, role }: UserRecord): User => ({ id, username, role })

export const viewAccount = (user: UserRecord): Account => ({
  ...viewUser(user),
  disabled: user.disabledAt !== null,
  mustChangePassword: user.mustChangePassword,
  createdAt: isoTime(user.createdAt),
})

export type Accounts = {
  /** Rejects with invalid_credentials, in the same time whether the user exists or not. */
  login(given: {
    username: string
    password: string
    agent: string | undefined
  }): Promise<Tokens & { mustChangePassword: boolean }>
  /** For a user who has proved to be one, by whatever way there is. Rejects with account_disabled or user_not_found. */
  startLogin(userId: string, agent: string | undefined): Promise<Tokens>
  /**
   * The user whom a provider knows by `oidcId`, with the role that the provider says; made when there is none, under a name
   * that is free. `roleBefore` is there when that was another. Rejects with account_disabled or last_admin.
   */
  admit(known: {
    oidcId: string
    username: string
    role: Role
  }): Promise<{ user: UserRecord; created: boolean; roleBefore?: Role }>
  /** Ends all logins but `loginId`. Rejects with invalid_credentials, or invalid_request for the same password again. */
  changePassword(userId: string, given: { current: string; next: string; loginId: string }): Promise<void>
  /**
   * Resolves with the password too when it was made up here. It has to be changed at the first login, unless it is said that it
   * need not.
   */
  create(wanted: {
    username: string
    role: Role
    password?: string
    mustChangePassword?: boolean
  }): Promise<{ user: UserRecord; password?: string }>
  /** Rejects with user_not_found. */
  get(id: string): Promise<UserRecord>
  /** Rejects with user_not_found, last_admin, or invalid_request for a password of who has none. Resolves with a new password where one was wanted. */
  update(
    id: string,
    wanted: { role?: Role; disabled?: boolean; resetPassword?: true },
  ): Promise<{ user: UserRecord; password?: string }>
  /** Removes the account. What belonged to it is not looked at here. */
  remove(id: string): Promise<void>
  /**
   * Makes the user `admin` when there is no user yet. Resolves with the password when it was made up here. `lostId` is the id
   * of an admin whose account was lost, and whose sessions are still there.
   */
  createFirstAdmin(password: string | undefined, lostId?: string): Promise<{ password: string } | undefined>
}

/** So many users may have the same name at the provider. */
const mostNamesakes = 1000

const newPassword = (): string => randomBytes(15).toString('base64url')

export const createAccounts = (
  users: UserStore,
  { logins, changes, clock }: { logins: Logins; changes: AccessChanges; clock: Clock },
): Accounts => {
  let noPassword: Promise<string> | undefined
  /** The hash of a password that nobody knows. Checked when the user is unknown too, so that all answers take the same time. */
  const hashOfNone = (): Promise<string> => (noPassword ??= hashPassword(newPassword()))
  /** What looks at accounts and then changes them, or lets somebody in, goes one after the other. */
  const inTurn = createSemaphore(1)

  const wrong = (message: string): AppError => new AppError('invalid_credentials', message)

  const get: Accounts['get'] = async (id) => {
    const user = await users.get(id)
    if (user === undefined) throw new AppError('user_not_found', `There is no user ${id}.`)
    return user
  }

  const assertNotLastAdmin = async (user: UserRecord): Promise<void> => {
    const isActiveAdmin = ({ role, disabledAt }: UserRecord): boolean => role === 'admin' && disabledAt === null
    if (!isActiveAdmin(user)) return
    if (!(await users.list()).some((other) => other.id !== user.id && isActiveAdmin(other)))
      throw new AppError('last_admin', `${user.username} is the last administrator.`)
  }

  const endLogins = async (userId: string, except?: string): Promise<void> => {
    const open = await logins.list(userId)
    await logins.revoke(
      userId,
      open.map(({ id }) => id).filter((id) => id !== except),
    )
  }

  const assertEnabled = ({ disabledAt }: UserRecord): void => {
    if (disabledAt !== null) throw new AppError('account_disabled', 'This account is disabled.')
  }

  const start = async (user: UserRecord, agent: string | undefined): Promise<Tokens> => {
    assertEnabled(user)
    return logins.start(user, agent)
  }

  /** Under the first of `name`, `name-2`, `name-3`… that is free. */
  const createNamed = async (user: UserRecord, count = 1): Promise<UserRecord> => {
    const named = { ...user, username: count === 1 ? user.username : `${user.username}-${count}` }
    try {
      await users.create(named)
      return named
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'user_exists' || count >= mostNamesakes) throw error
      return createNamed(user, count + 1)
    }
  }

  return {
    login: async ({ username, password, agent }) => {
      const found = await users.findByUsername(username)
      const right = await verifyPassword(found?.passwordHash ?? (await hashOfNone()), password)
      if (found === undefined || !right) throw wrong('The user name or the password is wrong.')
      return inTurn(async () => {
        const user = await users.get(found.id)
        // Changed or removed while it was checked.
        if (user?.passwordHash !== found.passwordHash) throw wrong('The user name or the password is wrong.')
        return { ...(await start(user, agent)), mustChangePassword: user.mustChangePassword }
      })
    },
    startLogin: (userId, agent) => inTurn(async () => start(await get(userId), agent)),

    admit: ({ oidcId, username, role }) =>
      inTurn(async () => {
        const known = await users.findByOidcId(oidcId)
        if (known === undefined) {
          const now = clock.now()
          const user = { id: newId('usr', now), username, oidcId, role, disabledAt: null, createdAt: now }
          const password = { passwordHash: await hashOfNone(), mustChangePassword: false }
          return { user: await createNamed({ ...user, ...password }), created: true }
        }
        assertEnabled(known)
        if (known.role === role) return { user: known, created: false }
        if (role !== 'admin') await assertNotLastAdmin(known)
        await users.update(known.id, { role })
        changes.changed(known.id)
        return { user: await get(known.id), created: false, roleBefore: known.role }
      }),

    changePassword: async (userId, { current, next, loginId }) => {
      const before = await get(userId)
      if (!(await verifyPassword(before.passwordHash, current))) throw wrong('The current password is wrong.')
      if (next === current) throw new AppError('invalid_request', 'This is the password that you have.')
      const passwordHash = await hashPassword(next)
      await inTurn(async () => {
        if ((await get(userId)).passwordHash !== before.passwordHash) throw wrong('The current password is wrong.')
        await users.update(userId, { passwordHash, mustChangePassword: false })
        await endLogins(userId, loginId)
      })
    },

    create: async ({ username, role, password: given, mustChangePassword = true }) => {
      const password = given ?? newPassword()
      const now = clock.now()
      const user: UserRecord = {
        ...{ id: newId('usr', now), username, role, disabledAt: null, createdAt: now },
        passwordHash: await hashPassword(password),
        mustChangePassword,
        oidcId: null,
      }
      await users.create(user)
      return { user, ...(given === undefined ? { password } : {}) }
    },

    get,

    update: async (id, { role, disabled, resetPassword }) => {
      const password = resetPassword === true ? newPassword() : undefined
      const passwordHash = password === undefined ? undefined : await hashPassword(password)
      return inTurn(async () => {
        const user = await get(id)
        if (password !== undefined && user.oidcId !== null)
          throw new AppError('invalid_request', `${user.username} logs in by the OpenID provider, without a password.`)
        if ((role !== undefined && role !== 'admin') || disabled === true) await assertNotLastAdmin(user)
        await users.update(id, {
          ...(role === undefined ? {} : { role }),
          ...(disabled === undefined ? {} : { disabledAt: disabled ? (user.disabledAt ?? clock.now()) : null }),
          ...(passwordHash === undefined ? {} : { passwordHash, mustChangePassword: true }),
        })
        if (disabled === true || password !== undefined) await endLogins(id)
        changes.changed(id)
        return { user: await get(id), ...(password === undefined ? {} : { password }) }
      })
    },

    remove: (id) =>
      inTurn(async () => {
        await assertNotLastAdmin(await get(id))
        await endLogins(id)
        await users.delete(id)
        changes.changed(id)
      }),

    createFirstAdmin: async (given, lostId) => {
      if ((await users.count()) > 0) return undefined
      const password = given ?? newPassword()
      const now = clock.now()
      await users.create({
        id: lostId ?? newId('usr', now),
        username: 'admin',
        passwordHash: await hashPassword(password),
        // Nobody but who has started the server has seen it: docs/decisions/0012.
        mustChangePassword: false,
        oidcId: null,
        role: 'admin',
        disabledAt: null,
        createdAt: now,
      })
      return given === undefined ? { password } : undefined
    },
  }
}
