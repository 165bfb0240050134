import { routes } from '@aicm/protocol'
import { knownUser } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerQuotas = (register: Register, services: Services): void => {
  const { quotas } = services
  const view = async (userId: string) => ({
    ...(await quotas.view(userId)),
    changes: await quotas.changesOf(userId),
  })
  register(routes.quotas.mine, ({ user }) => quotas.view(user.id))
  register(routes.quotas.get, async ({ params }) => view(await knownUser(services, params.id)))
  register(routes.quotas.set, async ({ params, body }) => {
    await quotas.set(await knownUser(services, params.id), body)
    return view(params.id)
  })
}
