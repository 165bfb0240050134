/** Who is logged in, in this tab: kept in memory and in the tab's own storage, gone when the tab closes. */
export type Login = { username: string; accessToken: string; refreshToken: string; expiresAt: number }

export type Auth = {
  current: () => Login | undefined
  set: (login: Login) => void
  clear: () => void
  subscribe: (listener: () => void) => () => void
}

/** The key is known to the API reference too (docs-page/init.js). */
const key = 'aicm.login'

export const createAuth = (storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>): Auth => {
  const listeners = new Set<() => void>()
  let login = parseLogin(storage.getItem(key))
  const change = (next: Login | undefined) => {
    login = next
    for (const listener of listeners) listener()
  }
  return {
    current: () => login,
    set(next) {
      storage.setItem(key, JSON.stringify(next))
      change(next)
    },
    clear() {
      storage.removeItem(key)
      if (login !== undefined) change(undefined)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
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
  const { username, accessToken, refreshToken, expiresAt } = value as Record<string, unknown>
  if (typeof username !== 'string' || typeof accessToken !== 'string') return undefined
  if (typeof refreshToken !== 'string' || typeof expiresAt !== 'number') return undefined
  return { username, accessToken, refreshToken, expiresAt }
}
