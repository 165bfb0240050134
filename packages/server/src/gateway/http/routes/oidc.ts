import { routes } from '@aicm/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Arrival, Loopback, Oidc } from '../../../auth/oidc.ts'
import { AppError, toAppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import { tellLimit } from '../limit-requests.ts'
import { streamed, type Register } from '../register.ts'

const cookie = { name: 'aicm_oidc', path: '/v1/auth/oidc', seconds: 600 }

const browserOf = ({ headers }: FastifyRequest): string | undefined =>
  new RegExp(`(?:^|; )${cookie.name}=([\\w-]+)`).exec(headers.cookie ?? '')?.[1]

const cookieWith = (value: string, { seconds, secure }: { seconds: number; secure: boolean }): string =>
  `${cookie.name}=${value}; Path=${cookie.path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`

const to = (reply: FastifyReply, address: string): typeof streamed => {
  void reply.redirect(address, 302)
  return streamed
}

/** The log-in page. What is behind the # is sent to nobody, and stands in no log. */
const loginPage = ({ next, hash }: { next?: string | undefined; hash: string }): string =>
  `/login${next === undefined ? '' : `?next=${encodeURIComponent(next)}`}#${hash}`

/**
 * Not straight to the loopback: with a link, and a listener of their own on the same machine, somebody could get a log-in of
 * who is logged in at the provider. Source: RFC 8252, 8.6.
 */
const agreementPage = ({ port, challenge }: Loopback, code: string): string =>
  `/login/cli#${new URLSearchParams({ code, port: `${port}`, state: challenge })}`

const refusedAt = (loopback: Loopback | undefined, code: string, next?: string): string =>
  loopback === undefined
    ? loginPage({ next, hash: `oidc-error=${code}` })
    : `http://127.0.0.1:${loopback.port}/?${new URLSearchParams({ error: code, state: loopback.challenge })}`

const loopbackIn = ({ port, challenge }: { port?: number; challenge?: string }): Loopback | undefined => {
  if (port !== undefined && challenge !== undefined) return { port, challenge }
  if (port === undefined && challenge === undefined) return undefined
  throw new AppError('invalid_request', 'Give port and challenge, or neither.')
}

export const registerOidc = (register: Register, { oidc, audit, log, loginLimiter }: Services): void => {
  const entered = async (request: FastifyRequest, reply: FastifyReply): Promise<Oidc> => {
    tellLimit(reply, 'login', await loginLimiter.enter('oidc', request.clientAddress))
    if (oidc === undefined) throw new AppError('not_found', 'This server has no log-in by an OpenID provider.')
    return oidc
  }
  const baseOf = (request: FastifyRequest): string => oidc?.url ?? `${request.protocol}://${request.host}`

  const record = async (request: FastifyRequest, told: AppError | Arrival): Promise<void> => {
    const asked = { action: 'oidc.callback', address: request.clientAddress, requestId: request.id } as const
    if (!(told instanceof AppError)) {
      const { code: _, userId, username, ...detail } = told
      return audit.record({ ...asked, userId, username, target: userId, detail })
    }
    const result = told.status >= 500 ? 'failed' : 'refused'
    await audit.record({ ...asked, result, code: told.code, detail: { reason: told.message } })
  }

  register(routes.oidc.status, async () => ({
    enabled: oidc !== undefined,
    name: oidc?.name ?? null,
    url: oidc?.url ?? null,
  }))

  register(routes.oidc.start, async ({ query: { next, ...asked }, request, reply }) => {
    const base = baseOf(request)
    const loopback = loopbackIn(asked)
    try {
      const { location, browser } = await (
        await entered(request, reply)
      ).start({
        redirectUri: `${base}${routes.oidc.callback.path}`,
        next,
        loopback,
      })
      const secure = base.startsWith('https:')
      return to(reply.header('set-cookie', cookieWith(browser, { seconds: cookie.seconds, secure })), location)
    } catch (error) {
      const { code, cause } = toAppError(error)
      if (code !== 'oidc_unavailable') throw error
      log.warn({ err: cause, requestId: request.id }, 'the OpenID provider could not be reached')
      return to(reply, refusedAt(loopback, code, next))
    }
  })

  register(routes.oidc.callback, async ({ query: { state }, request, reply }) => {
    const { resume } = await entered(request, reply)
    let loopback: Loopback | undefined
    try {
      const started = resume({ state, browser: browserOf(request) })
      loopback = started.loopback
      const arrival = await started.arrive(new URL(request.url, 'http://any').search)
      await record(request, arrival)
      const { code } = arrival
      return to(
        reply,
        loopback === undefined
          ? loginPage({ next: started.next, hash: `oidc=${code}` })
          : agreementPage(loopback, code),
      )
    } catch (error) {
      const refused = toAppError(error)
      // Not the cause itself: it may hold what the provider has answered, tokens too.
      const cause = refused.cause instanceof Error ? refused.cause.message : undefined
      log.warn({ reason: refused.message, cause, requestId: request.id }, 'a log-in by OpenID did not succeed')
      await record(request, refused)
      return to(reply, refusedAt(loopback, refused.code))
    }
  })

  register(routes.oidc.finish, async ({ body: { code, verifier }, request, reply }) => {
    const { finish } = await entered(request, reply)
    const agent = request.headers['user-agent']
    const answer = await finish({ code, verifier, browser: browserOf(request), agent })
    void reply.header('set-cookie', cookieWith('', { seconds: 0, secure: baseOf(request).startsWith('https:') }))
    return answer
  })
}
