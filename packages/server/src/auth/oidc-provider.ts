import type { Configuration } from 'openid-client'
import type { OidcSettings } from '../config/oidc.ts'
import { AppError } from '../lib/app-error.ts'
import type { Claims } from './oidc-claims.ts'

/** What must be remembered from the start of a log-in until its end. */
export type Flow = { redirectUri: string; verifier: string; nonce: string }

export type OidcProvider = {
  /** Rejects with oidc_unavailable. */
  check(): Promise<void>
  /** Where to send the browser. Rejects with oidc_unavailable. */
  start(given: { redirectUri: string; state: (flow: Flow) => string }): Promise<string>
  /** The claims of who has logged in, after all checks. Rejects with oidc_failed or oidc_unavailable. */
  finish(flow: Flow, given: { state: string; search: string }): Promise<Claims & { sub: string }>
}

const timeoutSeconds = 10

/** What the library calls a failure; nothing that came from outside. */
const codeOf = (error: unknown): string => {
  const names = error instanceof Error ? [Reflect.get(error, 'error'), Reflect.get(error, 'code'), error.name] : []
  return String(names.find((name) => typeof name === 'string' && /^[A-Za-z_]{1,60}$/.test(name)) ?? 'unknown')
}

/** Loaded and asked when it is needed: no start pays for it, and none fails because the provider is down. */
export const createOidcProvider = (settings: OidcSettings): OidcProvider => {
  const connect = async (): Promise<Configuration> => {
    const openid = await import('openid-client')
    const secret = settings.clientSecret
    const authenticate: import('openid-client').ClientAuth = (server, ...rest) => {
      if (secret === undefined) return openid.None()(server, ...rest)
      const methods = server.token_endpoint_auth_methods_supported
      const basic = methods?.includes('client_secret_basic') ?? true
      return (basic ? openid.ClientSecretBasic : openid.ClientSecretPost)(secret)(server, ...rest)
    }
    return openid.discovery(new URL(settings.issuer), settings.clientId, undefined, authenticate, {
      timeout: timeoutSeconds,
      execute: [
        // The signature counts, not only the way on which the token came.
        openid.enableNonRepudiationChecks,
        // The settings allow it on this machine only.
        ...(settings.issuer.startsWith('http:') ? [openid.allowInsecureRequests] : []),
      ],
    })
  }

  let connection: Promise<Configuration> | undefined
  const connected = (): Promise<Configuration> =>
    (connection ??= connect().catch((cause: unknown) => {
      connection = undefined
      throw new AppError('oidc_unavailable', `The OpenID provider could not be reached (${codeOf(cause)}).`, { cause })
    }))

  return {
    check: async () => void (await connected()),

    start: async ({ redirectUri, state }) => {
      const configuration = await connected()
      const openid = await import('openid-client')
      const flow = { redirectUri, verifier: openid.randomPKCECodeVerifier(), nonce: openid.randomNonce() }
      return openid.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: settings.scopes,
        state: state(flow),
        nonce: flow.nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(flow.verifier),
        code_challenge_method: 'S256',
      }).href
    },

    finish: async ({ redirectUri, verifier, nonce }, { state, search }) => {
      const configuration = await connected()
      const openid = await import('openid-client')
      try {
        const tokens = await openid.authorizationCodeGrant(configuration, new URL(search, redirectUri), {
          ...{ pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
        })
        const claims = tokens.claims()
        if (claims === undefined) throw new Error('no ID token')
        const complete = claims[settings.groupsClaim] !== undefined && claims['preferred_username'] !== undefined
        if (complete || configuration.serverMetadata().userinfo_endpoint === undefined) return claims
        return { ...(await openid.fetchUserInfo(configuration, tokens.access_token, claims.sub)), ...claims }
      } catch (cause) {
        throw new AppError('oidc_failed', `What the OpenID provider answered is not accepted (${codeOf(cause)}).`, {
          cause,
        })
      }
    },
  }
}
