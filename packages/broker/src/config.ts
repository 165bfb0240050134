export type CredentialKind = 'none' | 'api-key' | 'auth-token' | 'oauth-token'
export type Credential = { kind: 'none' } | { kind: Exclude<CredentialKind, 'none'>; value: string }

/** What the broker is told to do. It lives in memory only: a restarted broker must be told again. */
export type BrokerConfig = { mode: 'demo' } | { mode: 'live'; upstream: string; credential: Credential }

export type BreakerState = 'closed' | 'open' | 'half-open'

export type BrokerStatus = {
  pid: number
  /** ISO 8601. */
  startedAt: string
  version: string
  /** null until it has been configured. */
  mode: 'live' | 'demo' | null
  /** The upstream's address; null unless live. */
  upstream: string | null
  credential: CredentialKind
  /** Open: the upstream failed again and again, and is left alone for a moment. */
  breaker: BreakerState
  activeRequests: number
  /** Answers that are being given, and how much of each has been sent: who asks twice sees which of them go on. */
  answering: { sessionId: string; sentBytes: number }[]
}

/** A message for whoever sent the configuration. Never contains the credential. */
export class InvalidConfig extends Error {}

/** Throws InvalidConfig, which says what to change. Unknown keys are refused. */
export const parseConfig = (value: unknown): BrokerConfig => {
  const config = record(value, 'The configuration')
  if (config.mode === 'demo') {
    onlyKeys(config, ['mode'])
    return { mode: 'demo' }
  }
  if (config.mode !== 'live') throw new InvalidConfig('mode must be "live" or "demo"')
  onlyKeys(config, ['mode', 'upstream', 'credential'])
  return { mode: 'live', upstream: parseUpstream(config.upstream), credential: parseCredential(config.credential) }
}

const parseUpstream = (value: unknown): string => {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null) throw new InvalidConfig('upstream must be a URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new InvalidConfig('upstream must be an http or https URL')
  // They would show in status and logs.
  if (url.username !== '' || url.password !== '')
    throw new InvalidConfig('upstream must not contain a user name or password')
  if (url.search !== '' || url.hash !== '') throw new InvalidConfig('upstream must not contain a query or a fragment')
  return url.origin + url.pathname.replace(/\/+$/, '')
}

const parseCredential = (value: unknown): Credential => {
  const credential = record(value, 'credential')
  const { kind } = credential
  if (kind === 'none') {
    onlyKeys(credential, ['kind'])
    return { kind }
  }
  if (kind !== 'api-key' && kind !== 'auth-token' && kind !== 'oauth-token') {
    throw new InvalidConfig('credential.kind must be "api-key", "auth-token", "oauth-token" or "none"')
  }
  onlyKeys(credential, ['kind', 'value'])
  // Checked here because a header with other characters would fail at each request, far from whoever could correct it.
  if (typeof credential.value !== 'string' || !/^[\x21-\x7e]{1,8192}$/.test(credential.value)) {
    throw new InvalidConfig('credential.value must be printable ASCII without spaces or line breaks')
  }
  return { kind, value: credential.value }
}

const record = (value: unknown, name: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidConfig(`${name} must be a JSON object`)
  return { ...value }
}

const onlyKeys = (value: Record<string, unknown>, allowed: string[]): void => {
  const unknown = Object.keys(value).find((key) => !allowed.includes(key))
  if (unknown !== undefined) throw new InvalidConfig(`unknown key ${JSON.stringify(unknown.slice(0, 40))}`)
}
