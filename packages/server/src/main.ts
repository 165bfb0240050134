import { isLoopback } from './config/gateway.ts'
import type { Isolation } from '@aicm/protocol'
import { ConfigError } from './config/config-error.ts'
import { readConfig, type Config } from './config/config.ts'
import { helpText } from './config/help.ts'
import { missingText } from './isolation/isolation.ts'
import { AppError } from './lib/app-error.ts'
import { assets } from './lib/assets.ts'
import { closeInherited } from './lib/inheritable.ts'
import type { RunningServer } from './start-server.ts'

/** How long a stop may take before it is forced. */
const stopTimeoutMs = 9000

const fail = (message: string, code: number): never => {
  process.stderr.write(`aicm: ${message}\n`)
  process.exit(code)
}

const settings = (argv: string[]): Config => {
  try {
    return readConfig(argv, process.env)
  } catch (error) {
    if (error instanceof ConfigError) return fail(error.message, 2)
    throw error
  }
}

/** An error of the start, in words for the person at the terminal. */
const explain = (error: unknown, config: Config): string => {
  if (error instanceof AppError) return `${error.message} ${error.hint}`
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE')
    return `Port ${config.port} on ${config.host} is in use. Choose another with --port (0 takes any free one).`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `${config.host} is no address of this machine. Choose another with --host (0.0.0.0 or :: takes all).`
  if (code === 'EACCES' && config.port < 1024)
    return `No permission to listen on port ${config.port}. Choose one from 1024 up with --port.`
  if (code === 'EACCES') return `No permission: ${error instanceof Error ? error.message : ''}`
  return error instanceof Error ? error.message : String(error)
}

const recoveryLines = ({ recovery }: RunningServer): string[] => {
  if (recovery === undefined) return []
  const { mended, rebuilt, messages, lostSessions, lostUsers } = recovery.refilled
  return [
    '',
    `The database was damaged (${recovery.reason}) and has been rebuilt. Whole or partly recovered sessions: ${mended + rebuilt};`,
    `messages put back: ${messages.found}, lost: ${messages.lost}; sessions lost: ${lostSessions.length}, accounts lost: ${lostUsers.length}.`,
    `Report: ${recovery.report}`,
    ...(recovery.setAside === undefined ? [] : [`The damaged file: ${recovery.setAside}`]),
  ]
}

const networkOf = ({ host, gateway }: Config): string => {
  if (gateway.tls !== undefined) return `HTTPS and HTTP/2 (${gateway.tls.cert})`
  return isLoopback(host)
    ? 'HTTP, from this machine only'
    : 'INSECURE: HTTP without TLS, passwords can be read on the way'
}
const isolationText = ({ level, wanted, uidPerUser, limits, kill, credentials }: Isolation): string =>
  [
    level === wanted ? level : `${level} (wanted ${wanted})`,
    uidPerUser ? 'a uid for each user' : 'one uid for all users',
    `limits: ${limits}`,
    `kill: ${kill}`,
    `credentials: ${credentials}`,
  ].join(', ')

const banner = async (config: Config, server: RunningServer): Promise<string> => {
  const [claude, isolation] = await Promise.all([server.claude, server.isolation])
  const line = (name: string, text: string): string => `  ${name.padEnd(10)} ${text}`
  const modelApi =
    config.modelApi.mode === 'demo'
      ? 'DEMO: the real Claude CLI answers from a built-in scripted API, not from the model.\n             Set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN for the real one.'
      : `live, ${config.modelApi.upstream} (credential: ${config.modelApi.credential.kind})`
  return [
    line('claude', claude.error ?? `${claude.version} (${claude.path})`),
    line('model API', modelApi),
    line('isolation', isolationText(isolation)),
    ...isolation.missing.map((missing) => line('', `missing: ${missingText(missing)}`)),
    line('network', networkOf(config)),
    line('data', config.dataDir),
    ...recoveryLines(server),
    ...(server.firstAdminPassword === undefined
      ? []
      : ['', `First start: log in as admin with the password  ${server.firstAdminPassword}`, 'It is shown only now.']),
    '',
    `Try:  npx aicm login${config.port === 2426 ? '' : ` --server ${server.url}`}  and then  npx aicm run "What can you do?"`,
    `Or open ${server.url} in a browser. API reference: ${server.url}/docs`,
    '',
  ].join('\n')
}

const main = async (argv: string[]): Promise<void> => {
  if (argv.includes('--help') || argv.includes('-h')) return void process.stdout.write(helpText())
  if (argv.includes('--version')) return void process.stdout.write(`${assets.version}\n`)
  const config = settings(argv)
  const { startServer } = await import('./start-server.ts')
  let server = await startServer(config).catch((error: unknown) => fail(explain(error, config), 1))
  let stopping = false

  /** What a failed disk has left in memory is not to be trusted: everything is opened anew, at the same address. */
  const renewWhenWorn = (): void => {
    void server.worn.then(async () => {
      process.stdout.write('The disk had failed and takes data again: the server starts anew. Sessions go on.\n')
      await server.close({ keepSessions: true })
      if (stopping) return
      const port = Number(new URL(server.url).port)
      server = await startServer({ ...config, port }).catch((error: unknown) => fail(explain(error, config), 1))
      if (stopping) await server.close()
      else renewWhenWorn()
    })
  }
  renewWhenWorn()

  const stop = (code: number): void => {
    stopping = true
    setTimeout(() => process.exit(1), stopTimeoutMs).unref()
    void server.close().then(() => process.exit(code))
  }
  let interrupted = false
  process.on('SIGTERM', () => stop(0))
  process.on('SIGHUP', () => stop(0))
  process.on('SIGINT', () => {
    if (interrupted) process.exit(130)
    interrupted = true
    process.stdout.write('\nStopping. Sessions go on running; start the server again to see them.\n')
    stop(0)
  })
  process.stdout.write(`AICode Manager ${assets.version} listens on ${server.url}\n`)
  process.stdout.write(
    await banner(config, server).catch(
      (error: unknown) => `aicm: the isolation is not known: ${explain(error, config)}\n`,
    ),
  )
  const problem = await server.oidcProblem
  if (problem !== undefined) process.stdout.write(`Log-in by OpenID does not work yet: ${problem}\n`)
}

closeInherited(process.env['NODE_CHANNEL_FD'])
// What it makes is nobody else's, unless it says so.
process.umask(0o077)
await main(process.argv.slice(2))
