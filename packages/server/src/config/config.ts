import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { parseBytes, resourceNames, type IsolationLevel, type ResourceLimits } from '@aicm/protocol'
import { parseDuration } from '../lib/duration.ts'
import { ConfigError } from './config-error.ts'
import { isLoopback, limitsOf, type GatewaySettings } from './gateway.ts'
import { oidcSettingsOf, type OidcSettings } from './oidc.ts'
import { reachableOf, type Reachable } from './reachable.ts'
import { parseResourceLimits } from './resource-limits.ts'
import { optionTable, type OptionName, type OptionSpec } from './options.ts'

export type Credential = { kind: 'api-key' | 'auth-token' | 'oauth-token'; value: string }

/** Times in milliseconds; undefined is never. */
export type SessionSettings = {
  idleMs: number | undefined
  closeMs: number | undefined
  /** Undefined: by the machine's memory. */
  maxProcesses: number | undefined
  /** Bytes; undefined: by the machine's memory. */
  memoryReserve: number | undefined
  warm: { min: number; max: number }
  watch: Record<'turnMs' | 'toolMs' | 'startMs' | 'resultMs' | 'pingMs' | 'pongMs' | 'graceMs', number>
  retry: { baseDelay: number; maxDelay: number; factor: number; maxRetries: number }
  continue: 'auto' | 'ask' | 'never'
  stopWithServer: boolean
}

export type IsolationSettings = {
  /** Nothing stronger is used. */
  wanted: IsolationLevel
  /** Without it the server does not start. Undefined: whatever there is, but never none for more than one user. */
  required: IsolationLevel | undefined
  /** For the users' own uids, on a server that is root. Undefined: they have none. */
  uidRange: { first: number; last: number } | undefined
  /** Folders that every session may read. */
  readOnlyMounts: string[]
  /** Where they differ from the defaults. */
  limits: Partial<ResourceLimits>
}

/** The settings, complete and checked. */
export type Config = {
  host: string
  port: number
  dataDir: string
  fallbackDataDir: string | undefined
  claude: string | undefined
  /** `only`: the demo was asked for, and credentials that are stored are not used. */
  modelApi: { upstream: string } & (
    | { mode: 'demo'; only: boolean }
    | { mode: 'live'; credential: Credential | { kind: 'none' } }
  )
  /** The name of the user whom the subscription's token of the environment serves. */
  oauthOwner: string
  /** Where subscriptions' tokens are renewed. */
  oauth: { tokenUrl: string; clientId: string } | undefined
  pricesFile: string | undefined
  /** Calls at once. */
  callsPerCredential: number
  secretKey: string | undefined
  secretKeyFile: string | undefined
  workspaceRoots: string[]
  /** Besides public addresses. */
  cloneFrom: Reachable
  allowedOrigins: string[]
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  healthIntervalMs: number
  /** Of one user. */
  maxLogins: number
  adminPassword: string | undefined
  oidc: OidcSettings | undefined
  sessions: SessionSettings
  /** What was set, by its name: no secrets. */
  given: Record<string, string>
  gateway: GatewaySettings
  isolation: IsolationSettings
  /** For finding programs only. */
  path: string
  /** More certificate authorities for the way to the upstream (NODE_EXTRA_CA_CERTS). */
  extraCaCerts: string | undefined
}

const longestTimer = 2 ** 31 - 1

type Environment = Record<string, string | undefined>
type Values = Partial<Record<OptionName, string[]>>

const specs = Object.entries(optionTable) as [OptionName, OptionSpec][]

const parseFlags = (argv: string[]): Values => {
  const values: Values = {}
  for (let at = 0; at < argv.length; at++) {
    const [flag, inline] = (argv[at] ?? '').split(/=(.*)/s, 2)
    const found = specs.find(([, spec]) => spec.flag === flag)
    if (found === undefined) throw new ConfigError(`Unknown option ${argv[at]}. See --help.`)
    const [name, spec] = found
    const value = spec.toggle ? (inline ?? '1') : (inline ?? argv[++at])
    if (value === undefined) throw new ConfigError(`${flag} needs a value: ${flag} ${spec.value}`)
    values[name] = spec.many ? [...(values[name] ?? []), value] : [value]
  }
  return values
}

const parseEnvironment = (environment: Environment): Values => {
  const values: Values = {}
  for (const [name, spec] of specs) {
    const value = environment[spec.env]
    if (value === undefined || value === '') continue
    values[name] =
      spec.many === undefined
        ? [value]
        : value
            .split(spec.many)
            .map((part) => part.trim())
            .filter(Boolean)
  }
  return values
}

const oneOf = <T extends string>(name: OptionName, value: string, allowed: readonly T[]): T => {
  const found = allowed.find((item) => item === value)
  if (found === undefined)
    throw new ConfigError(`${nameOf(name)} is ${JSON.stringify(value)}; it must be one of ${allowed.join(', ')}.`)
  return found
}

const nameOf = (name: OptionName): string => {
  const spec: OptionSpec = optionTable[name]
  return spec.flag === undefined ? spec.env : `${spec.flag} (${spec.env})`
}

const urlOf = (name: OptionName, value: string): string => {
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol))
    throw new ConfigError(`${nameOf(name)} is ${JSON.stringify(value)}; it must be an http or https URL.`)
  return value
}

const modelApiOf = (values: Values): Config['modelApi'] => {
  const credential: Credential | undefined = values.apiKey
    ? { kind: 'api-key', value: values.apiKey[0] ?? '' }
    : values.authToken
      ? { kind: 'auth-token', value: values.authToken[0] ?? '' }
      : values.oauthToken
        ? { kind: 'oauth-token', value: values.oauthToken[0] ?? '' }
        : undefined
  const mode = values.modelApi === undefined ? undefined : oneOf('modelApi', values.modelApi[0] ?? '', ['live', 'demo'])
  const upstream = urlOf('upstream', values.upstream?.[0] ?? 'https://api.anthropic.com')
  if (mode === 'demo' || (mode === undefined && credential === undefined))
    return { mode: 'demo', only: mode === 'demo', upstream }
  return { mode: 'live', upstream, credential: credential ?? { kind: 'none' } }
}

/** How the values of times and numbers are read. */
const readerOf = (values: Values) => {
  const given = (name: OptionName): string => {
    const spec: OptionSpec = optionTable[name]
    return values[name]?.[0] ?? spec.default ?? ''
  }
  const time = (name: OptionName): number | undefined => {
    const ms = parseDuration(given(name))
    if (Number.isNaN(ms))
      throw new ConfigError(
        `${nameOf(name)} is ${JSON.stringify(given(name))}; it must be a time like 90s, 15m or 12h.`,
      )
    return ms
  }
  /** A time that cannot be never; the longest that a timer can wait stands for it. */
  const limit = (name: OptionName): number => Math.min(time(name) ?? longestTimer, longestTimer)
  const number = (name: OptionName, least: number, whole = true): number => {
    const value = Number(given(name))
    if (!Number.isFinite(value) || value < least || (whole && !Number.isInteger(value)))
      throw new ConfigError(
        `${nameOf(name)} is ${JSON.stringify(given(name))}; it must be a ${whole ? 'whole ' : ''}number from ${least} up.`,
      )
    return value
  }
  return { given, time, limit, number }
}

const sessionSettingsOf = (values: Values): SessionSettings => {
  const { given, time, limit, number } = readerOf(values)
  return {
    idleMs: time('idleTimeout'),
    closeMs: time('sessionTimeout'),
    maxProcesses: values.maxProcesses === undefined ? undefined : number('maxProcesses', 1),
    memoryReserve: values.memoryReserve === undefined ? undefined : number('memoryReserve', 0) * 1024 * 1024,
    warm: { min: number('warmMin', 0), max: number('warmMax', 0) },
    watch: {
      turnMs: limit('turnTimeout'),
      toolMs: limit('toolTimeout'),
      startMs: limit('startTimeout'),
      resultMs: limit('resultTimeout'),
      pingMs: limit('pingInterval'),
      pongMs: limit('pingTimeout'),
      graceMs: limit('stopTimeout'),
    },
    retry: {
      baseDelay: limit('retryBaseDelay'),
      maxDelay: limit('retryMaxDelay'),
      factor: number('retryFactor', 1, false),
      maxRetries: number('maxRetries', 0),
    },
    continue: oneOf('continueTurns', given('continueTurns'), ['auto', 'ask', 'never']),
    stopWithServer: oneOf('stopSessions', given('stopSessions'), ['0', '1']) === '1',
  }
}

/** A URL may hold a password. */
const withoutPassword = (text: string): string => text.replaceAll(/\/\/[^/@\s]*@/g, '//')

const givenOf = (values: Values): Record<string, string> =>
  Object.fromEntries(
    specs.flatMap(([name, spec]) =>
      spec.secret || values[name] === undefined ? [] : [[name, withoutPassword(values[name].join(', '))]],
    ),
  )

/** No process of a user's can write more to a file. */
const mostFileBytes = 4 * 2 ** 30

const fileBytesOf = (text: string): number => {
  const bytes = parseBytes(text)
  if (bytes === undefined || !Number.isInteger(bytes) || bytes > mostFileBytes)
    throw new ConfigError(`${nameOf('maxFileSize')} is "${text}"; it must be bytes like 200m or 1g, at most 4g.`)
  return bytes
}

const gatewaySettingsOf = (values: Values, host: string): GatewaySettings => {
  const { given, limit, number } = readerOf(values)
  const [cert] = values.tlsCert ?? []
  const [key] = values.tlsKey ?? []
  if ((cert === undefined) !== (key === undefined))
    throw new ConfigError(`TLS needs both ${nameOf('tlsCert')} and ${nameOf('tlsKey')}.`)
  const insecure = oneOf('insecureHttp', given('insecureHttp'), ['0', '1']) === '1'
  if (cert === undefined && !insecure && !isLoopback(host))
    throw new ConfigError(
      `Others could reach ${host}, and read every password and token on the way: there is no TLS. Give ${nameOf('tlsCert')} and ${nameOf('tlsKey')}; or leave ${nameOf('host')} at 127.0.0.1 and use a reverse proxy or an SSH tunnel; or, where the network is safe, set ${nameOf('insecureHttp')}.`,
    )
  const limits = limitsOf({
    rateLimits: values.rateLimits ?? [],
    quotas: values.quotas ?? [],
    trustedProxies: values.trustedProxies ?? [],
  })
  if ('must' in limits)
    throw new ConfigError(`${nameOf(limits.name)} is ${JSON.stringify(limits.value)}; it must be ${limits.must}.`)
  return {
    ...limits,
    tls: cert === undefined || key === undefined ? undefined : { cert: resolve(cert), key: resolve(key) },
    maxFileBytes: fileBytesOf(given('maxFileSize')),
    requestMs: limit('requestTimeout'),
    maxConnections: values.maxConnections === undefined ? undefined : number('maxConnections', 1),
    maxConnectionsOfAddress: number('maxConnectionsOfAddress', 1),
  }
}

const oauthOf = ({ oauthTokenUrl, oauthClientId }: Values): Config['oauth'] => {
  const [tokenUrl, clientId] = [oauthTokenUrl?.[0], oauthClientId?.[0]]
  if (tokenUrl === undefined && clientId === undefined) return undefined
  if (tokenUrl === undefined || clientId === undefined)
    throw new ConfigError(`${nameOf('oauthTokenUrl')} and ${nameOf('oauthClientId')} belong together.`)
  return { tokenUrl: urlOf('oauthTokenUrl', tokenUrl), clientId }
}

const cloneFromOf = ({ cloneFrom = [] }: Values): Reachable => {
  const reachable = reachableOf(cloneFrom)
  if (typeof reachable !== 'string') return reachable
  throw new ConfigError(
    `${nameOf('cloneFrom')} is ${JSON.stringify(reachable)}; it must be a host name, an address or a network, like git.example.org or 10.0.0.0/8.`,
  )
}

const isolationLevels = ['none', 'process', 'sandbox', 'sealed'] as const
/** Above what systems give to accounts, containers and services. */
const defaultUids = { first: 1_900_000_000, last: 1_900_065_535 }
/** One user, and the two that serve to find out whether it works. */
const fewestUids = 3
const mostUid = 2 ** 31 - 1

const isolationSettingsOf = (values: Values): IsolationSettings => {
  const level = (name: OptionName): IsolationLevel | undefined =>
    values[name]?.[0] === undefined ? undefined : oneOf(name, values[name][0], isolationLevels)
  const wanted = level('isolation') ?? 'sealed'
  const required = level('requireIsolation')
  if (required !== undefined && isolationLevels.indexOf(required) > isolationLevels.indexOf(wanted))
    throw new ConfigError(`${nameOf('requireIsolation')} demands ${required}, and ${nameOf('isolation')} is ${wanted}.`)
  const readOnlyMounts = values.readOnlyMounts ?? []
  const relative = readOnlyMounts.find((path) => !isAbsolute(path))
  if (relative !== undefined)
    throw new ConfigError(`${nameOf('readOnlyMounts')} is ${JSON.stringify(relative)}; it must be an absolute path.`)
  const limits = parseResourceLimits(values.limits ?? [])
  if (limits === undefined)
    throw new ConfigError(
      `${nameOf('limits')} is ${JSON.stringify(values.limits?.join(','))}; it must be \`off\`, or one of ${resourceNames.join(', ')} with a number that something can run with, like memory=2g, cpus=1.5 or pids=off.`,
    )
  return {
    ...{ wanted, required, limits, uidRange: uidRangeOf(values) },
    readOnlyMounts: readOnlyMounts.map((path) => resolve(path)),
  }
}

const uidRangeOf = (values: Values): IsolationSettings['uidRange'] => {
  const text = values.uidRange?.[0]
  // What lies there belongs to people who work there too: to give each session a uid of its own would lock it out.
  if (text === undefined) return (values.workspaceRoots ?? []).length > 0 ? undefined : defaultUids
  if (text === 'none') return undefined
  const [, first = 0, last = 0] = (/^(\d{1,10})-(\d{1,10})$/.exec(text) ?? []).map(Number)
  if (first < 1000 || last - first + 1 < fewestUids || last > mostUid)
    throw new ConfigError(
      `${nameOf('uidRange')} is ${JSON.stringify(text)}; it must be "none", or at least ${fewestUids} uids from 1000 up, like 1900000000-1900065535.`,
    )
  return { first, last }
}

/** Reads flags and environment; a flag wins. Throws ConfigError. */
export const readConfig = (argv: string[], environment: Environment): Config => {
  const values: Values = { ...parseEnvironment(environment), ...parseFlags(argv) }
  const port = Number(values.port?.[0] ?? optionTable.port.default)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new ConfigError(
      `${nameOf('port')} is ${JSON.stringify(values.port?.[0])}; it must be a number from 0 to 65535.`,
    )
  const healthInterval = Number(values.healthInterval?.[0] ?? optionTable.healthInterval.default)
  if (!Number.isInteger(healthInterval) || healthInterval < 1 || healthInterval > 86_400)
    throw new ConfigError(
      `${nameOf('healthInterval')} is ${JSON.stringify(values.healthInterval?.[0])}; it must be a number of seconds from 1 to 86400.`,
    )
  const roots = values.workspaceRoots ?? []
  const relative = roots.find((root) => !isAbsolute(root))
  if (relative !== undefined)
    throw new ConfigError(`${nameOf('workspaceRoots')} is ${JSON.stringify(relative)}; it must be an absolute path.`)
  const host = values.host?.[0] ?? optionTable.host.default
  return {
    host,
    port,
    dataDir: resolve(
      values.dataDir?.[0] ?? join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'aicm'),
    ),
    fallbackDataDir: values.fallbackDataDir?.[0] === undefined ? undefined : resolve(values.fallbackDataDir[0]),
    claude: values.claude?.[0] === undefined ? undefined : resolve(values.claude[0]),
    modelApi: modelApiOf(values),
    oauthOwner: values.oauthOwner?.[0] ?? optionTable.oauthOwner.default,
    oauth: oauthOf(values),
    pricesFile: values.prices?.[0],
    callsPerCredential: readerOf(values).number('callsPerCredential', 1),
    secretKey: values.secretKey?.[0],
    secretKeyFile: values.secretKeyFile?.[0] === undefined ? undefined : resolve(values.secretKeyFile[0]),
    workspaceRoots: roots,
    cloneFrom: cloneFromOf(values),
    allowedOrigins: (values.allowedOrigins ?? []).map((origin) => new URL(urlOf('allowedOrigins', origin)).origin),
    logLevel: oneOf('logLevel', values.logLevel?.[0] ?? 'info', ['debug', 'info', 'warn', 'error']),
    healthIntervalMs: healthInterval * 1000,
    maxLogins: readerOf(values).number('maxLogins', 1),
    adminPassword: values.adminPassword?.[0],
    oidc: oidcSettingsOf(values),
    sessions: sessionSettingsOf(values),
    given: givenOf(values),
    gateway: gatewaySettingsOf(values, host),
    isolation: isolationSettingsOf(values),
    path: environment['PATH'] ?? '',
    extraCaCerts: environment['NODE_EXTRA_CA_CERTS'],
  }
}
