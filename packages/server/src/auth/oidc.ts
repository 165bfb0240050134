import { randomBytes } from 'node:crypto'
import type { Role, Tokens } from '@aicm/protocol'
import type { OidcSettings } from '../config/oidc.ts'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import type { Accounts } from './accounts.ts'
import { roleOfGroups, usernameOf } from './oidc-claims.ts'
import { createOidcProvider, type Flow } from './oidc-provider.ts'
import { createSingleUse } from './single-use.ts'

export type Arrival = {
  userId: string
  username: string
  role: Role
  created: boolean
  code: string
  next: string | undefined
}

/** Log-in by an OpenID provider. `browser` is a secret that one browser alone has, in a cookie. */
export type Oidc = {
  /** For people. */
  name: string
  url: string | undefined
  /** Rejects with oidc_unavailable. */
  check(): Promise<void>
  /** Rejects with oidc_unavailable. */
  start(given: { redirectUri: string; next: string | undefined }): Promise<{ location: string; browser: string }>
  /** Rejects with oidc_failed, oidc_no_role, oidc_unavailable, account_disabled or last_admin. */
  arrive(given: { state: string | undefined; search: string; browser: string | undefined }): Promise<Arrival>
  /** Rejects with invalid_oidc_code or account_disabled. */
  finish(given: {
    code: string
    browser: string | undefined
    agent: string | undefined
  }): Promise<Tokens & { username: string }>
}

const flowMs = 10 * 60_000
const codeMs = 30_000

export const createOidc = (
  settings: OidcSettings,
  { accounts, clock }: { accounts: Pick<Accounts, 'admit' | 'startLogin'>; clock: Clock },
): Oidc => {
  const provider = createOidcProvider(settings)
  const flows = createSingleUse<Flow & { browser: string; next: string | undefined }>(clock, flowMs)
  const codes = createSingleUse<{ userId: string; username: string; browser: string }>(clock, codeMs)

  return {
    name: new URL(settings.issuer).host,
    url: settings.url,
    check: provider.check,

    start: async ({ redirectUri, next }) => {
      const browser = randomBytes(24).toString('base64url')
      const state = (flow: Flow): string => flows.put({ ...flow, browser, next })
      return { location: await provider.start({ redirectUri, state }), browser }
    },

    arrive: async ({ state = '', search, browser }) => {
      const flow = flows.take(state)
      if (flow === undefined) throw new AppError('oidc_failed', 'No log-in that was started, or it was over already.')
      if (flow.browser !== browser) throw new AppError('oidc_failed', 'Another browser has started this log-in.')
      const claims = await provider.finish(flow, { state, search })
      const role = roleOfGroups(claims[settings.groupsClaim], settings.roles)
      if (role === undefined) throw new AppError('oidc_no_role', 'The user is in no group that may log in.')
      // Both, and nothing else: another provider, or a name, or an address, says nothing about who somebody is.
      const oidcId = `${settings.issuer} ${claims.sub}`
      const { user, created } = await accounts.admit({ oidcId, username: usernameOf(claims), role })
      const { id: userId, username } = user
      return { userId, username, role, created, code: codes.put({ userId, username, browser }), next: flow.next }
    },

    finish: async ({ code, browser, agent }) => {
      const found = codes.take(code)
      // Else somebody could log in a victim as somebody else, by a link.
      if (found === undefined || found.browser !== browser)
        throw new AppError('invalid_oidc_code', 'This code was used, has expired, or is not of this browser.')
      return { ...(await accounts.startLogin(found.userId, agent)), username: found.username }
    },
  }
}
