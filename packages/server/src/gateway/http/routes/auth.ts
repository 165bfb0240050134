import { routes } from '@aicm/protocol'
import { viewUser } from '../../../auth/accounts.ts'
import type { Identity } from '../../../auth/identity.ts'
import { viewLogin } from '../../../auth/logins.ts'
import { AppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import { tellLimit } from '../limit-requests.ts'
import type { Register } from '../register.ts'

/** No key has account.write, so it is never one that gets so far. */
const loginOf = ({ grant }: Identity): string => {
  if (grant.kind === 'login') return grant.id
  throw new AppError('forbidden', 'An API key has no login.')
}

export const registerAuth = (register: Register, services: Services): void => {
  const { accounts, logins, loginLimiter, signingKeys, tickets } = services
  register(routes.auth.login, ({ body, request, reply }) =>
    loginLimiter.attempt({ account: body.username, address: request.clientAddress }, (left) => {
      tellLimit(reply, 'login', left)
      return accounts.login({ ...body, agent: request.headers['user-agent'] })
    }),
  )
  register(routes.auth.refresh, async ({ body, request, reply }) => {
    tellLimit(reply, 'login', await loginLimiter.enter('refresh', request.clientAddress))
    return logins.refresh(body.refreshToken)
  })
  register(routes.auth.logout, async ({ user, identity }) => void (await logins.revoke(user.id, [loginOf(identity)])))
  register(routes.auth.me, async ({ user }) => viewUser(user))
  register(routes.auth.ticket, async ({ identity, request, reply }) => {
    tellLimit(reply, 'login', await loginLimiter.enter('ticket', request.clientAddress))
    return tickets.issue(identity)
  })
  register(routes.auth.password, async ({ user, identity, body, request, reply }) => {
    const { currentPassword: current, newPassword: next } = body
    // Whoever has found a token could guess the password here too.
    await loginLimiter.attempt({ account: user.username, address: request.clientAddress }, async (left) => {
      tellLimit(reply, 'login', left)
      await accounts.changePassword(user.id, { current, next, loginId: loginOf(identity) })
    })
    return undefined
  })
  register(routes.auth.logins, async ({ user, identity }) => ({
    logins: (await logins.list(user.id)).map((login) => viewLogin(login, loginOf(identity))),
  }))
  register(routes.auth.endLogin, async ({ user, params }) => {
    if (!(await logins.list(user.id)).some(({ id }) => id === params.id))
      throw new AppError('login_not_found', `You have no login ${params.id}.`)
    return void (await logins.revoke(user.id, [params.id]))
  })
  register(routes.auth.rotate, async () => ({ keyId: (await signingKeys.rotate()).id }))
}
