import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { parseDuration } from '../lib/duration.ts'
import { ConfigError } from './config-error.ts'
import { oidcSettingsOf, type OidcSettings } from './oidc.ts'
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
  watch: { turnMs: number; toolMs: number; startMs: number }
  retry: { baseDelay: number; maxDelay: number; factor: number; maxRetries: number }
  continue: 'auto' | 'ask' | 'never'
  stopWithServer: boolean
}

/** The settings, complete and checked. */
export type Config = {
  host: string
  port: number
  dataDir: string
  fallbackDataDir: string | undefined
  claude: string | undefined
  modelApi: { mode: 'demo' } | { mode: 'live'; upstream: string; credential: Credential | { kind: 'none' } }
  workspaceRoots: string[]
  allowedOrigins: string[]
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  healthIntervalMs: number
  adminPassword: string | undefined
  oidc: OidcSettings | undefined
  sessions: SessionSettings
  /** What was set, by its name: no secrets. */
  given: Record<string, string>
  /** For finding programs only. */
  path: string
  /** More certificate authorities for the way to the upstream (NODE_EXTRA_CA_CERTS). */
  extraCaCerts: string | undefined
}

const longestTimer = 2 ** 31 - 1

type Environment = Record<string, string | undefined>
type Values = Partial<Record<OptionName, string[]>>

/** What holds colons by itself. */
const commaSeparated = new Set<OptionName>(['allowedOrigins', 'oidcRoles'])
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
    values[name] = spec.many ? value.split(commaSeparated.has(name) ? ',' : ':').filter(Boolean) : [value]
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
  if (mode === 'demo' || (mode === undefined && credential === undefined)) return { mode: 'demo' }
  const upstream = urlOf('upstream', values.upstream?.[0] ?? 'https://api.anthropic.com')
  return { mode: 'live', upstream, credential: credential ?? { kind: 'none' } }
}

const sessionSettingsOf = (values: Values): SessionSettings => {
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
  return {
    idleMs: time('idleTimeout'),
    closeMs: time('sessionTimeout'),
    maxProcesses: values.maxProcesses === undefined ? undefined : number('maxProcesses', 1),
    memoryReserve: values.memoryReserve === undefined ? undefined : number('memoryReserve', 0) * 1024 * 1024,
    warm: { min: number('warmMin', 0), max: number('warmMax', 0) },
    watch: { turnMs: limit('turnTimeout'), toolMs: limit('toolTimeout'), startMs: limit('startTimeout') },
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
  return {
    host: values.host?.[0] ?? optionTable.host.default,
    port,
    dataDir: resolve(
      values.dataDir?.[0] ?? join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'aicm'),
    ),
    fallbackDataDir: values.fallbackDataDir?.[0] === undefined ? undefined : resolve(values.fallbackDataDir[0]),
    claude: values.claude?.[0] === undefined ? undefined : resolve(values.claude[0]),
    modelApi: modelApiOf(values),
    workspaceRoots: roots,
    allowedOrigins: (values.allowedOrigins ?? []).map((origin) => new URL(urlOf('allowedOrigins', origin)).origin),
    logLevel: oneOf('logLevel', values.logLevel?.[0] ?? 'info', ['debug', 'info', 'warn', 'error']),
    healthIntervalMs: healthInterval * 1000,
    adminPassword: values.adminPassword?.[0],
    oidc: oidcSettingsOf(values),
    sessions: sessionSettingsOf(values),
    given: givenOf(values),
    path: environment['PATH'] ?? '',
    extraCaCerts: environment['NODE_EXTRA_CA_CERTS'],
  }
}
