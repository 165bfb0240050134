import { parseBudgets, type Budgets } from './usage/budgets.ts'
import { InvalidConfig, onlyKeys, record, wholeNumber } from './parse.ts'
import { parsePrices, type PriceTable } from './usage/prices.ts'

/** `oauth`: a subscription's tokens, the access token renewed with the refresh token. */
export type Secret =
  | { kind: 'none' }
  | { kind: 'api-key' | 'auth-token' | 'oauth-token'; value: string }
  | {
      kind: 'oauth'
      accessToken: string
      refreshToken: string
      /** Milliseconds since 1970; 0 where it is not known. */
      expiresAt: number
      tokenUrl: string
      clientId: string
      /** The same for all tokens that are renewed from those that its owner gave; another when the owner gives others. */
      lineage: string
    }

export type CredentialKind = Secret['kind']

/** A way to the model API: a secret and the one upstream that it is ever sent to. */
export type Credential = {
  id: string
  /** Whose sessions it serves; null for everybody's. */
  userId: string | null
  upstream: string
  /** Calls at once. */
  maxConcurrent?: number
} & Secret

/** What the broker is told to do. It lives in memory only: a restarted broker must be told again. */
export type BrokerConfig = {
  /** What a session gets that no credential serves: a refusal, or the scripted API. */
  mode: 'live' | 'demo'
  /** In the order in which they are tried. */
  credentials?: Credential[]
  budgets?: Budgets
  /** Sessions that work on a prompt of somebody else than their owner: no subscription serves them. */
  guests?: string[]
  /** By the beginning of a model's name; over the built-in table. */
  prices?: PriceTable
  /** Base64 of 32 bytes: what renewed tokens are sealed with, which the server finds in the broker's folder. */
  sealKey?: string
}

/** Subscriptions serve their owner alone, whatever the configuration says. */
export const isSubscription = ({ kind }: { kind: CredentialKind }): boolean =>
  kind === 'oauth-token' || kind === 'oauth'

/** Throws InvalidConfig, which says what to change. Unknown keys are refused. Never repeats a secret. */
export const parseConfig = (value: unknown): BrokerConfig => {
  const config = record(value, 'The configuration')
  if (config.mode !== 'live' && config.mode !== 'demo') throw new InvalidConfig('mode must be "live" or "demo"')
  onlyKeys(config, ['mode', 'credentials', 'budgets', 'guests', 'prices', 'sealKey'])
  const { mode, credentials = [], budgets, guests, prices, sealKey } = config
  if (!Array.isArray(credentials)) throw new InvalidConfig('credentials must be a list')
  if (guests !== undefined && !Array.isArray(guests)) throw new InvalidConfig('guests must be a list')
  if (sealKey !== undefined && (typeof sealKey !== 'string' || Buffer.from(sealKey, 'base64').length !== 32))
    throw new InvalidConfig('sealKey must be base64 of 32 bytes')
  return {
    mode,
    credentials: credentials.map(parseCredential),
    ...(budgets === undefined ? {} : { budgets: parseBudgets(budgets) }),
    ...(guests === undefined ? {} : { guests: guests.map(String) }),
    ...(prices === undefined ? {} : { prices: parsePrices(prices) }),
    ...(sealKey === undefined ? {} : { sealKey }),
  }
}

const parseUrl = (value: unknown, name: string): string => {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null) throw new InvalidConfig(`${name} must be a URL`)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new InvalidConfig(`${name} must be an http or https URL`)
  // They would show in status and logs.
  if (url.username !== '' || url.password !== '')
    throw new InvalidConfig(`${name} must not contain a user name or password`)
  if (url.search !== '' || url.hash !== '') throw new InvalidConfig(`${name} must not contain a query or a fragment`)
  return url.origin + url.pathname.replace(/\/+$/, '')
}

const common = ['id', 'userId', 'upstream', 'maxConcurrent', 'kind']

const parseCredential = (value: unknown): Credential => {
  const credential = record(value, 'a credential')
  const { id, userId, maxConcurrent } = credential
  if (typeof id !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(id))
    throw new InvalidConfig('credential.id must be letters, digits, _ and -')
  if (userId !== null && typeof userId !== 'string') throw new InvalidConfig('credential.userId must be an id or null')
  const parsed = {
    id,
    userId,
    upstream: parseUrl(credential.upstream, 'credential.upstream'),
    ...(maxConcurrent === undefined
      ? {}
      : { maxConcurrent: wholeNumber(maxConcurrent, 'credential.maxConcurrent', 1) }),
    ...parseSecret(credential),
  }
  if (isSubscription(parsed) && userId === null)
    throw new InvalidConfig(
      "credential.userId is missing: a subscription's token serves the sessions of its owner only",
    )
  return parsed
}

const parseSecret = (credential: Record<string, unknown>): Secret => {
  const { kind } = credential
  switch (kind) {
    case 'none':
      onlyKeys(credential, common)
      return { kind }
    case 'api-key':
    case 'auth-token':
    case 'oauth-token':
      onlyKeys(credential, [...common, 'value'])
      return { kind, value: parseToken(credential.value, 'credential.value') }
    case 'oauth':
      onlyKeys(credential, [...common, 'accessToken', 'refreshToken', 'expiresAt', 'tokenUrl', 'clientId', 'lineage'])
      return {
        kind,
        accessToken: credential.accessToken === '' ? '' : parseToken(credential.accessToken, 'credential.accessToken'),
        refreshToken: parseToken(credential.refreshToken, 'credential.refreshToken'),
        expiresAt: wholeNumber(credential.expiresAt, 'credential.expiresAt', 0),
        tokenUrl: parseUrl(credential.tokenUrl, 'credential.tokenUrl'),
        clientId: parseToken(credential.clientId, 'credential.clientId'),
        lineage: parseLineage(credential.lineage),
      }
    default:
      throw new InvalidConfig('credential.kind must be "api-key", "auth-token", "oauth-token", "oauth" or "none"')
  }
}

/** It becomes part of a file's name. */
const parseLineage = (value: unknown): string => {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{0,64}$/.test(value))
    throw new InvalidConfig('credential.lineage must be letters, digits, _ and -')
  return value
}

const parseToken = (value: unknown, name: string): string => {
  // Checked here because a header with other characters would fail at each request, far from whoever could correct it.
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,8192}$/.test(value))
    throw new InvalidConfig(`${name} must be printable ASCII without spaces or line breaks`)
  return value
}
