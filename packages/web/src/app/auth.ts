import type { StoredTokens, TokenStore } from '@aicm/client'
import { inOneTab } from './in-one-tab.ts'

/** Who is logged in, in all tabs of this browser. */
export type Login = {
  username: string
  /** Nothing else is answered before. */
  mustChangePassword?: boolean
  /** An OpenID provider knows who this is. */
  withoutPassword?: boolean
} & StoredTokens

export type Auth = {
  current: () => Login | undefined
  /** Waits for a tab that refreshes the login before. */
  set: (login: Login) => Promise<void>
  /** It is theirs now. */
  passwordChanged: () => Promise<void>
  clear: () => void
  subscribe: (listener: () => void) => () => void
  /** For the client, which keeps the login going. */
  tokens: TokenStore
}

/** The key is known to the API reference too (docs-page/init.js). */
const key = 'aicm.login'

export type AuthStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

type Options = {
  storage: AuthStorage
  locks: LockManager | undefined
  /** Where other tabs' changes are told. */
  events?: Pick<Window, 'addEventListener'>
}

export const createAuth = ({ storage, locks, events }: Options): Auth => {
  const listeners = new Set<() => void>()
  let text = storage.getItem(key)
  let login = parseLogin(text)

  /** Another tab may have changed it. */
  const look = (): Login | undefined => {
    const now = storage.getItem(key)
    if (now === text) return login
    const before = login
    text = now
    login = parseLogin(now)
    // New tokens of the same user change nothing for whoever shows the page.
    if (login?.username !== before?.username || login?.mustChangePassword !== before?.mustChangePassword)
      for (const listener of listeners) listener()
    return login
  }
  events?.addEventListener('storage', look)

  const write = (next: Login): void => {
    storage.setItem(key, JSON.stringify(next))
    look()
  }
  const clear = (): void => {
    storage.removeItem(key)
    look()
  }
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => inOneTab({ storage, locks, name: key }, work)

  return {
    current: () => login,
    set: (next) => exclusively(async () => write(next)),
    passwordChanged: () =>
      exclusively(async () => {
        const now = look()
        if (now !== undefined) write({ ...now, mustChangePassword: false })
      }),
    clear,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    tokens: {
      read: look,
      write(next) {
        const now = look()
        // Logged out meanwhile.
        if (now === undefined) return
        if (next === undefined) clear()
        else write({ ...now, ...next })
      },
      exclusively,
    },
  }
}

export const parseLogin = (text: string | null): Login | undefined => {
  if (text === null) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { username, mustChangePassword, withoutPassword, accessToken, refreshToken, expiresAt } = value as Record<
    string,
    unknown
  >
  if (typeof username !== 'string' || typeof accessToken !== 'string') return undefined
  if (typeof refreshToken !== 'string' || typeof expiresAt !== 'number') return undefined
  return {
    username,
    mustChangePassword: mustChangePassword === true,
    withoutPassword: withoutPassword === true,
    ...{ accessToken, refreshToken, expiresAt },
  }
}
