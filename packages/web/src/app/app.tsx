import { createClient, login, storedTokens, type Client } from '@aicm/client'
import { routes } from '@aicm/protocol'
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { createContext, use, useSyncExternalStore, type ReactNode } from 'react'
import { createFeeds, type Feeds } from '../session/feeds.ts'
import { createDrafts, type Drafts } from '../session/drafts.ts'
import { createOutbox, type Outbox } from '../session/outbox.ts'
import { isLoggedOut, isTransient } from '../ui/describe-error.ts'
import { createAuth, type Auth, type Login } from './auth.ts'

/** Everything that lives as long as the page. Made once, in main.tsx. */
export type App = {
  auth: Auth
  client: Client
  queries: QueryClient
  feeds: Feeds
  outbox: Outbox
  drafts: Drafts
  logIn: (username: string, password: string) => Promise<void>
  /** With the code that the OpenID provider's answer has put into the address of the page. */
  finishOidc: (code: string) => Promise<void>
  /** Ends all other log-ins of the user. */
  changePassword: (current: string, next: string) => Promise<void>
  logOut: () => Promise<void>
  /** To be called with every error that reaches the page: an ended log-in leads back to the log-in form. */
  noteError: (error: unknown) => void
}

export const createApp = ({
  url,
  tabStorage,
  storage,
}: {
  url: string
  tabStorage: Storage
  storage: Storage
}): App => {
  const auth = createAuth({ storage, locks: navigator.locks as LockManager | undefined, events: window })
  const noteError = (error: unknown) => {
    if (isLoggedOut(error)) auth.clear()
  }
  const client = createClient({ url, tokens: auth.tokens })
  const queries = new QueryClient({
    queryCache: new QueryCache({ onError: noteError }),
    mutationCache: new MutationCache({ onError: noteError }),
    defaultOptions: {
      queries: { retry: (failures, error) => failures < 2 && isTransient(error), staleTime: 2000 },
      mutations: { retry: false },
    },
  })
  const feeds = createFeeds({
    client,
    noteError,
    onNews: ({ approvals, sessions }) => {
      if (approvals) void queries.invalidateQueries({ queryKey: ['approvals'] })
      if (sessions) void queries.invalidateQueries({ queryKey: ['sessions'] })
    },
  })
  // The list of reasons comes with it, but the health page shows more.
  client.onHealth(() => void queries.invalidateQueries({ queryKey: ['health'] }))
  const drafts = createDrafts(storage)
  const outbox = createOutbox({ client, storage: tabStorage, noteError })

  let lastUser = auth.current()?.username
  const forget = () => {
    feeds.clear()
    outbox.clear()
    queries.clear()
  }
  // What one user had loaded must not be seen by the next one, whichever tab logs in; the same one goes on with it.
  auth.subscribe(() => {
    const username = auth.current()?.username
    if (username === undefined) return
    if (lastUser !== undefined && lastUser !== username) forget()
    lastUser = username
  })
  return {
    auth,
    client,
    queries,
    feeds,
    outbox,
    drafts,
    noteError,
    async logIn(username, password) {
      const { mustChangePassword, ...tokens } = await login({ url, username, password })
      await auth.set({ username, mustChangePassword, ...storedTokens(tokens) })
    },
    async finishOidc(code) {
      const { username, ...tokens } = await client.call(routes.oidc.finish, { body: { code } })
      await auth.set({ username, withoutPassword: true, ...storedTokens(tokens) })
    },
    async changePassword(currentPassword, newPassword) {
      await client.call(routes.auth.password, { body: { currentPassword, newPassword } })
      await auth.passwordChanged()
    },
    async logOut() {
      drafts.clear()
      // The server may be out of reach: this browser forgets the login in any case.
      const signal = AbortSignal.timeout(logOutMs)
      await client.call(routes.auth.logout, {}, { signal }).catch(() => undefined)
      auth.clear()
      forget()
    },
  }
}

/** So long the server is waited for. */
const logOutMs = 3000

const AppContext = createContext<App | undefined>(undefined)

export const AppProvider = ({ app, children }: { app: App; children: ReactNode }) => (
  <AppContext value={app}>{children}</AppContext>
)

export const useApp = (): App => {
  const app = use(AppContext)
  if (app === undefined) throw new Error('useApp is called outside of AppProvider')
  return app
}

export const useLogin = (): Login | undefined => {
  const { auth } = useApp()
  return useSyncExternalStore(auth.subscribe, auth.current)
}
