import { routes } from '@aicm/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Arrival, Oidc } from '../../../auth/oidc.ts'
import { AppError, toAppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import { streamed, type Register } from '../register.ts'

const cookie = { name: 'aicm_oidc', path: '/v1/auth/oidc', seconds: 600 }

const browserOf = ({ headers }: FastifyRequest): string | undefined =>
  new RegExp(`(?:^|; )${cookie.name}=([\\w-]+)`).exec(headers.cookie ?? '')?.[1]

const cookieWith = (value: string, { seconds, secure }: { seconds: number; secure: boolean }): string =>
  `${cookie.name}=${value}; Path=${cookie.path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`

/** The log-in page. What is behind the # is sent to nobody, and stands in no log. */
const toPage = (reply: FastifyReply, { next, hash }: { next?: string | undefined; hash: string }): typeof streamed => {
  const query = next === undefined ? '' : `?next=${encodeURIComponent(next)}`
  void reply.redirect(`/login${query}#${hash}`, 302)
  return streamed
}

export const registerOidc = (register: Register, { oidc, audit, log }: Services): void => {
  const configured = (): Oidc => {
    if (oidc === undefined) throw new AppError('not_found', 'This server has no log-in by an OpenID provider.')
    return oidc
  }
  const baseOf = (request: FastifyRequest): string => oidc?.url ?? `${request.protocol}://${request.host}`

  const record = async (request: FastifyRequest, told: AppError | Arrival): Promise<void> => {
    const asked = { action: 'oidc.callback', address: request.clientAddress, requestId: request.id } as const
    if (!(told instanceof AppError)) {
      const { userId, username, role, created } = told
      return audit.record({ ...asked, userId, username, detail: { role, created } })
    }
    const result = told.status >= 500 ? 'failed' : 'refused'
    await audit.record({ ...asked, result, code: told.code, detail: { reason: told.message } })
  }

  register(routes.oidc.status, async () => ({ enabled: oidc !== undefined, name: oidc?.name ?? null }))

  register(routes.oidc.start, async ({ query: { next }, request, reply }) => {
    const base = baseOf(request)
    try {
      const { location, browser } = await configured().start({
        redirectUri: `${base}${routes.oidc.callback.path}`,
        next,
      })
      const secure = base.startsWith('https:')
      void reply.header('set-cookie', cookieWith(browser, { seconds: cookie.seconds, secure })).redirect(location, 302)
      return streamed
    } catch (error) {
      const { code, cause } = toAppError(error)
      if (code !== 'oidc_unavailable') throw error
      log.warn({ err: cause, requestId: request.id }, 'the OpenID provider could not be reached')
      return toPage(reply, { next, hash: `oidc-error=${code}` })
    }
  })

  register(routes.oidc.callback, async ({ query: { state }, request, reply }) => {
    const { arrive } = configured()
    const search = new URL(request.url, 'http://any').search
    try {
      const arrival = await arrive({ state, search, browser: browserOf(request) })
      await record(request, arrival)
      return toPage(reply, { next: arrival.next, hash: `oidc=${arrival.code}` })
    } catch (error) {
      const refused = toAppError(error)
      // Not the cause itself: it may hold what the provider has answered, tokens too.
      const cause = refused.cause instanceof Error ? refused.cause.message : undefined
      log.warn({ reason: refused.message, cause, requestId: request.id }, 'a log-in by OpenID did not succeed')
      await record(request, refused)
      return toPage(reply, { hash: `oidc-error=${refused.code}` })
    }
  })

  register(routes.oidc.finish, async ({ body: { code }, request, reply }) => {
    const { finish } = configured()
    const answer = await finish({ code, browser: browserOf(request), agent: request.headers['user-agent'] })
    void reply.header('set-cookie', cookieWith('', { seconds: 0, secure: baseOf(request).startsWith('https:') }))
    return answer
  })
}
