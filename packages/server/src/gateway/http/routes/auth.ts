import { routes } from '@aicm/protocol'
import { viewUser } from '../../../auth/accounts.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerAuth = (register: Register, { accounts, tickets, loginLimiter }: Services): void => {
  register(routes.auth.login, ({ body: { username, password }, request }) =>
    loginLimiter.attempt({ account: username, address: request.clientAddress }, () =>
      accounts.login(username, password),
    ),
  )
  register(routes.auth.me, async ({ user }) => viewUser(user))
  register(routes.auth.ticket, async ({ identity }) => tickets.issue(identity))
}
