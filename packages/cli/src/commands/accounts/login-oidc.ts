import { createHash, randomBytes } from 'node:crypto'
import { errorTable, routes } from '@aicm/protocol'
import { CliError, exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { inertLine } from '../../inert.ts'
import { listenOnLoopback } from './loopback.ts'
import { openBrowser } from './open-browser.ts'
import { rememberLogin } from '../../stored-login.ts'

export type OidcFlags = { browser: boolean; timeout: number }

/** The browser brings a code that is of use to this process alone, which has the verifier of it. */
export const loginByOidc = async (context: Context, { browser, timeout }: OidcFlags): Promise<ExitCode> => {
  const server = await context.server()
  const { path } = await context.config()
  const client = await context.client()
  const { enabled, name, url } = await client.call(routes.oidc.status, {})
  if (!enabled)
    throw new CliError({
      code: 'oidc_not_configured',
      message: `The server at ${server} has no log-in by an OpenID provider.`,
      hint: 'Log in with a password: aicm login -u NAME',
      exitCode: exitCodes.failed,
    })

  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  await using loopback = await listenOnLoopback()
  const { port } = loopback
  const query = new URLSearchParams({ port: `${port}`, challenge })
  const address = URL.parse(`${url ?? server}${routes.oidc.start.path}?${query}`)
  // A server does not choose which program opens what on this machine.
  if (address === null || !['http:', 'https:'].includes(address.protocol))
    throw new CliError({
      code: 'unexpected_answer',
      message: `The server at ${server} names no address of a page.`,
      exitCode: exitCodes.noServer,
    })
  const provider = inertLine(name ?? 'OpenID')

  const found = await untilInterrupted(context, timeout, (signal) => {
    context.err.print(`To log in by ${provider}, open this address in a browser on this machine:\n  ${address.href}`)
    if (browser) openBrowser(address.href, context.io.env)
    return loopback.answer(challenge, signal)
  })
  const code = found.get('code')
  if (code === null) throw refusalOf(found.get('error') ?? '')
  const { storedTokens } = await import('@aicm/client')
  const { username, ...tokens } = await client.call(routes.oidc.finish, { body: { code, verifier } })
  await rememberLogin(path, server, { username, ...storedTokens(tokens) })
  if (context.json) context.out.json({ server, username })
  else context.out.print(`Logged in to ${server} as ${inertLine(username)}.`)
  return exitCodes.ok
}

const refusals: Readonly<Record<string, { hint: string }>> = errorTable

const refusalOf = (code: string): CliError =>
  new CliError({
    ...(Object.hasOwn(refusals, code) ? { code, hint: refusals[code]?.hint } : { code: 'oidc_failed' }),
    message: 'The log-in did not succeed.',
    exitCode: exitCodes.failed,
  })

const longestTimerMs = 2 ** 31 - 1

/** Gives `work` a signal for the end of its time, and for Ctrl-C. */
const untilInterrupted = async <T>(
  { io }: Context,
  seconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const over = new AbortController()
  const end = (code: string, message: string, exitCode: ExitCode, hint?: string) => () =>
    over.abort(new CliError({ code, message, exitCode, ...(hint === undefined ? {} : { hint }) }))
  const late = end(
    'login_timeout',
    `Nobody has logged in within ${seconds} seconds.`,
    exitCodes.failed,
    'Try again, with --timeout for more time. The browser has to run on this machine.',
  )
  const timer = setTimeout(late, Math.min(seconds * 1000, longestTimerMs))
  const handlers = [
    io.onSignal('SIGINT', end('interrupted', 'Interrupted.', exitCodes.interrupted)),
    io.onSignal('SIGTERM', end('interrupted', 'Interrupted.', exitCodes.terminated)),
  ]
  try {
    return await work(over.signal)
  } finally {
    clearTimeout(timer)
    for (const stop of handlers) stop()
  }
}
