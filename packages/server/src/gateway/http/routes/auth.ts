import { routes } from '@aicm/protocol'
import { viewUser } from '../../../auth/accounts.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerAuth = (register: Register, { accounts, tickets }: Services): void => {
  register(routes.auth.login, ({ body }) => accounts.login(body.username, body.password))
  register(routes.auth.me, async ({ user }) => viewUser(user))
  register(routes.auth.ticket, async ({ identity }) => tickets.issue(identity))
}
