import { routes, type Tokens } from '@aicm/protocol'
import type { AicmError } from './aicm-error.ts'
import type { Call } from './call.ts'

/** What is kept of a login. `expiresAt` is when the access token expires by this machine's clock, in ms since 1970. */
export type StoredTokens = { accessToken: string; refreshToken: string; expiresAt: number }

/** Where the tokens of a login are kept, by whoever uses it: one program, several, or the tabs of a browser. */
export type TokenStore = {
  read(): StoredTokens | undefined | Promise<StoredTokens | undefined>
  /** Undefined when the login has ended. */
  write(tokens: StoredTokens | undefined): void | Promise<void>
  /**
   * Runs `work` while nobody else who shares the store does. A refresh token works once: two who used the same one would end the
   * login.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T>
}

export const storedTokens = ({ accessToken, refreshToken, expiresIn }: Tokens): StoredTokens => ({
  accessToken,
  refreshToken,
  expiresAt: Date.now() + expiresIn * 1000,
})

/** For a program that keeps its login to itself. */
export const memoryTokens = (tokens: Tokens): TokenStore => {
  let current: StoredTokens | undefined = storedTokens(tokens)
  return {
    read: () => current,
    write: (next) => void (current = next),
    exclusively: (work) => work(),
  }
}

/** The token to show; asked for before every request. */
export type TokenSource = {
  get(): string | undefined | Promise<string | undefined>
  /** The server refused this one: another, if there can be one. */
  renew(refused: string): Promise<string | undefined>
}

export const fixedToken = (get: TokenSource['get']): TokenSource => ({ get, renew: async () => undefined })

/** A token so near its end is not used any more: it has to get there first. */
const marginMs = 30_000
const patienceMs = 30_000

/** The login is over, for whatever reason: no other answer of the server ends it. */
const isOver = (error: unknown): boolean =>
  error instanceof Error && error.name === 'AicmError' && (error as AicmError).status === 401

/** Keeps a login going: before its access token expires, and when the server refuses it. */
export const refreshedTokens = (store: TokenStore, call: () => Call): TokenSource => {
  let running: Promise<string | undefined> | undefined

  const refresh = (isGood: (tokens: StoredTokens) => boolean): Promise<string | undefined> =>
    store.exclusively(async () => {
      // Somebody else may have done it meanwhile.
      const current = await store.read()
      if (current === undefined || isGood(current)) return current?.accessToken
      try {
        // Not with the signal of whoever wanted it: what the server has exchanged must be kept.
        const next = storedTokens(
          await call()(
            routes.auth.refresh,
            { body: { refreshToken: current.refreshToken } },
            { signal: AbortSignal.timeout(patienceMs) },
          ),
        )
        await store.write(next)
        return next.accessToken
      } catch (error) {
        if (isOver(error)) await store.write(undefined)
        throw error
      }
    })

  const once = (isGood: (tokens: StoredTokens) => boolean): Promise<string | undefined> =>
    (running ??= refresh(isGood).finally(() => (running = undefined)))

  const isFresh = ({ expiresAt }: StoredTokens): boolean => expiresAt - Date.now() > marginMs

  return {
    get: async () => {
      const current = await store.read()
      return current === undefined || isFresh(current) ? current?.accessToken : once(isFresh)
    },
    renew: async (refused) => {
      // What is under way may find that the token is good, by a clock that is wrong.
      const next = await running?.catch(() => undefined)
      return next !== undefined && next !== refused ? next : once(({ accessToken }) => accessToken !== refused)
    },
  }
}
