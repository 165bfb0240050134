import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { optionTable, type OptionName, type OptionSpec } from './options.ts'

export type Credential = { kind: 'api-key' | 'auth-token' | 'oauth-token'; value: string }

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
  adminPassword: string | undefined
  /** For finding programs only. */
  path: string
  /** More certificate authorities for the way to the upstream (NODE_EXTRA_CA_CERTS). */
  extraCaCerts: string | undefined
}

/** Says what is wrong with the settings, and how it should look. */
export class ConfigError extends Error {}

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
    const value = inline ?? argv[++at]
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
    values[name] = spec.many ? value.split(name === 'allowedOrigins' ? ',' : ':').filter(Boolean) : [value]
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

/** Reads flags and environment; a flag wins. Throws ConfigError. */
export const readConfig = (argv: string[], environment: Environment): Config => {
  const values: Values = { ...parseEnvironment(environment), ...parseFlags(argv) }
  const port = Number(values.port?.[0] ?? optionTable.port.default)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new ConfigError(
      `${nameOf('port')} is ${JSON.stringify(values.port?.[0])}; it must be a number from 0 to 65535.`,
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
    adminPassword: values.adminPassword?.[0],
    path: environment['PATH'] ?? '',
    extraCaCerts: environment['NODE_EXTRA_CA_CERTS'],
  }
}
