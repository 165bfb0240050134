import { routes } from '@aicm/protocol'
import { viewAccount } from '../../../auth/accounts.ts'
import { removeUser } from '../../remove-user.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerUsers = (register: Register, services: Services): void => {
  const { accounts, database } = services
  register(routes.users.list, async () => ({ users: (await database.users.list()).map(viewAccount) }))
  register(routes.users.create, async ({ body }) => {
    const { user, ...made } = await accounts.create({ role: 'member', ...body })
    return { ...viewAccount(user), ...made }
  })
  register(routes.users.get, async ({ params }) => viewAccount(await accounts.get(params.id)))
  register(routes.users.update, async ({ params, body }) => {
    const { user, ...made } = await accounts.update(params.id, body)
    if (body.disabled === true)
      await services.registry.halt(user.id, {
        code: 'account_disabled',
        message: 'The account of its owner was disabled.',
      })
    return { ...viewAccount(user), ...made }
  })
  register(
    routes.users.delete,
    async ({ params, query }) => void (await removeUser(services, params.id, query.purge === true)),
  )
}
