import type { Client } from '@aicm/client'
import { usageError, type ExitCode } from './cli-error.ts'
import { configPath, readConfig, type Config } from './config-file.ts'
import { inertJson } from './inert.ts'
import type { Io } from './io.ts'
import { storedLogin } from './stored-login.ts'
import { createStyle, type Style } from './style.ts'

export type GlobalFlags = { server?: string; token?: string; ca?: string; json?: boolean; color?: boolean }

/** What every command gets. */
export type Context = {
  io: Io
  /** The answer is for a program. */
  json: boolean
  out: { print(text: string): void; json(value: unknown): void; style: Style }
  err: { print(text: string): void; json(value: unknown): void; style: Style }
  config(): Promise<{ path: string; config: Config }>
  /** The address of the server: flag, environment, configuration file, default. */
  server(): Promise<string>
  /** One client for the whole command; it is closed at its end. */
  client(): Promise<Client>
  close(): void
  /** Aborted when the command is to end now: Ctrl-C, SIGTERM, or nobody reads the output any more. */
  signal: AbortSignal
  leave(exitCode: ExitCode): void
  /** Undefined as long as nobody has left. */
  leftWith(): ExitCode | undefined
}

export const defaultServer = 'http://127.0.0.1:2426'

export const createContext = (io: Io, flags: GlobalFlags): Context => {
  let client: Promise<Client> | undefined
  let opened: Client | undefined
  let left: ExitCode | undefined
  const leaving = new AbortController()

  const config: Context['config'] = async () => {
    const path = configPath(io.env)
    return { path, config: await readConfig(path) }
  }

  const server: Context['server'] = async () =>
    serverAddress(flags.server ?? (io.env.AICM_SERVER || undefined) ?? (await config()).config.server ?? defaultServer)

  const connect = async (): Promise<Client> => {
    const url = await server()
    const token = flags.token ?? (io.env.AICM_TOKEN || undefined)
    const { createClient } = await import('@aicm/client')
    opened = createClient({
      url,
      ...(token === undefined ? { tokens: storedLogin(configPath(io.env), url) } : { token }),
    })
    return opened
  }

  const stream = (output: Io['stdout']) => ({
    print: (text: string) => void output.write(`${text}\n`),
    json: (value: unknown) => void output.write(`${inertJson(value)}\n`),
    style: createStyle(wantsColour(io.env, flags, output)),
  })

  return {
    io,
    json: flags.json === true,
    out: stream(io.stdout),
    err: stream(io.stderr),
    config,
    server,
    client: () => (client ??= connect()),
    close: () => opened?.close(),
    signal: leaving.signal,
    leave: (exitCode) => {
      left ??= exitCode
      leaving.abort()
    },
    leftWith: () => left,
  }
}

const wantsColour = (env: Io['env'], flags: GlobalFlags, output: Io['stdout']): boolean =>
  flags.color !== false && !env.NO_COLOR && env.TERM !== 'dumb' && output.isTTY === true

/** One spelling of an address, since accounts are found by it. */
const serverAddress = (text: string): string => {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    throw usageError(`"${text}" is no address of a server.`, `It looks like ${defaultServer}.`)
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}
