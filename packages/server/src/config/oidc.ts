import { Role } from '@aicm/protocol'
import { ConfigError } from './config-error.ts'
import { isLoopback } from './gateway.ts'
import { optionTable, type OptionName } from './options.ts'

export type OidcSettings = {
  issuer: string
  clientId: string
  clientSecret: string | undefined
  /** By group of the provider; `*` is who is in none of the others. */
  roles: ReadonlyMap<string, Role>
  groupsClaim: string
  scopes: string
  /** Where browsers find this server; undefined: the address that they have used. */
  url: string | undefined
}

const issuerOf = (text: string): string => {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))))
    throw new ConfigError(
      `--oidc-issuer (AICM_OIDC_ISSUER) is ${JSON.stringify(text)}; it must be an https URL (http on this machine only).`,
    )
  return text
}

const roleNames = Role.anyOf.map(({ const: name }) => name)

/** A group may hold a `=` itself, a role does not. */
const roleOf = (text: string): [string, Role] => {
  const at = text.lastIndexOf('=')
  const role = roleNames.find((name) => name === text.slice(at + 1))
  if (at < 1 || role === undefined)
    throw new ConfigError(
      `--oidc-role (AICM_OIDC_ROLES) is ${JSON.stringify(text)}; it must be GROUP=ROLE, with one of ${roleNames.join(', ')}.`,
    )
  return [text.slice(0, at), role]
}

/** Throws ConfigError. */
export const oidcSettingsOf = (values: Partial<Record<OptionName, string[]>>): OidcSettings | undefined => {
  const issuer = values.oidcIssuer?.[0]
  if (issuer === undefined) return undefined
  const clientId = values.oidcClientId?.[0]
  if (clientId === undefined) throw new ConfigError('--oidc-issuer needs --oidc-client-id (AICM_OIDC_CLIENT_ID) too.')
  if (values.oidcRoles === undefined)
    throw new ConfigError(`--oidc-issuer needs --oidc-role (AICM_OIDC_ROLES) too: without one nobody gets in.`)
  const scopes = values.oidcScopes?.[0] ?? optionTable.oidcScopes.default
  if (!scopes.split(' ').includes('openid'))
    throw new ConfigError(`--oidc-scopes (AICM_OIDC_SCOPES) is ${JSON.stringify(scopes)}; it must name openid.`)
  const url = values.oidcUrl?.[0]
  if (url !== undefined && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw new ConfigError(`--oidc-url (AICM_OIDC_URL) is ${JSON.stringify(url)}; it must be an http or https URL.`)
  return {
    issuer: issuerOf(issuer),
    clientId,
    clientSecret: values.oidcClientSecret?.[0],
    roles: new Map(values.oidcRoles.map(roleOf)),
    groupsClaim: values.oidcGroupsClaim?.[0] ?? optionTable.oidcGroupsClaim.default,
    scopes,
    url: url === undefined ? undefined : new URL(url).origin,
  }
}
