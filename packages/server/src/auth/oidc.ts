import { createHash, randomBytes } from 'node:crypto'
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
  /** Where the provider has changed it. */
  roleBefore?: Role
  created: boolean
  code: string
}

/** A program of the user's own that waits at 127.0.0.1. `challenge` is that of its verifier (RFC 7636, S256). */
export type Loopback = { port: number; challenge: string }

type From = { next: string | undefined; loopback: Loopback | undefined }

/** Log-in by an OpenID provider. `browser` is a secret that one browser alone has, in a cookie. */
export type Oidc = {
  /** For people. */
  name: string
  url: string | undefined
  /** Rejects with oidc_unavailable. */
  check(): Promise<void>
  /** Rejects with oidc_unavailable. */
  start(given: From & { redirectUri: string }): Promise<{ location: string; browser: string }>
  /**
   * The log-in that was started, which is over with this. Throws oidc_failed. `arrive` rejects with oidc_failed, oidc_no_role,
   * oidc_unavailable, account_disabled or last_admin.
   */
  resume(given: {
    state: string | undefined
    browser: string | undefined
  }): From & { arrive(search: string): Promise<Arrival> }
  /** Rejects with invalid_oidc_code or account_disabled. */
  finish(given: {
    code: string
    browser: string | undefined
    verifier: string | undefined
    agent: string | undefined
  }): Promise<Tokens & { username: string }>
}

const flowMs = 10 * 60_000
const codeMs = 30_000
/** Somebody has to read and agree first. */
const handoverMs = 2 * 60_000

const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url')

export const createOidc = (
  settings: OidcSettings,
  { accounts, clock }: { accounts: Pick<Accounts, 'admit' | 'startLogin'>; clock: Clock },
): Oidc => {
  const provider = createOidcProvider(settings)
  type Code = { userId: string; username: string; challenge: string }
  const flows = createSingleUse<Flow & From & { browser: string }>(clock, flowMs)
  const codes = createSingleUse<Code>(clock, codeMs)
  const handovers = createSingleUse<Code>(clock, handoverMs)

  return {
    name: new URL(settings.issuer).host,
    url: settings.url,
    check: provider.check,

    start: async ({ redirectUri, ...from }) => {
      const browser = randomBytes(24).toString('base64url')
      const state = (flow: Flow): string => flows.put({ ...flow, ...from, browser })
      return { location: await provider.start({ redirectUri, state }), browser }
    },

    resume: ({ state = '', browser }) => {
      const flow = flows.take(state)
      if (flow === undefined) throw new AppError('oidc_failed', 'No log-in that was started, or it was over already.')
      if (flow.browser !== browser) throw new AppError('oidc_failed', 'Another browser has started this log-in.')
      const { next, loopback } = flow
      const arrive = async (search: string): Promise<Arrival> => {
        const claims = await provider.finish(flow, { state, search })
        const role = roleOfGroups(claims[settings.groupsClaim], settings.roles)
        if (role === undefined) throw new AppError('oidc_no_role', 'The user is in no group that may log in.')
        // Both, and nothing else: another provider, or a name, or an address, says nothing about who somebody is.
        const oidcId = `${settings.issuer} ${claims.sub}`
        const { user, ...admitted } = await accounts.admit({ oidcId, username: usernameOf(claims), role })
        const { id: userId, username } = user
        const code =
          loopback === undefined
            ? codes.put({ userId, username, challenge: challengeOf(flow.browser) })
            : handovers.put({ userId, username, challenge: loopback.challenge })
        return { userId, username, role, ...admitted, code }
      }
      return { next, loopback, arrive }
    },

    finish: async ({ code, browser, verifier, agent }) => {
      const found = (verifier === undefined ? codes : handovers).take(code)
      // Else somebody could log in a victim as somebody else, by a link.
      if (found === undefined || found.challenge !== challengeOf(verifier ?? browser ?? ''))
        throw new AppError(
          'invalid_oidc_code',
          'This code was used, has expired, or is not of who started this log-in.',
        )
      return { ...(await accounts.startLogin(found.userId, agent)), username: found.username }
    },
  }
}
