import { routes } from '@aicm/protocol'
import { knownUser } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerLimits = (register: Register, services: Services): void => {
  const { registry, userLimits } = services
  const view = async (userId: string) => ({
    ...(await userLimits.of(userId)),
    changes: await userLimits.changesOf(userId),
  })
  register(routes.limits.mine, ({ user }) => userLimits.of(user.id))
  register(routes.limits.get, async ({ params }) => view(await knownUser(services, params.id)))
  register(routes.limits.set, async ({ params, body }) => {
    await userLimits.set(await knownUser(services, params.id), body)
    registry.dropSpares(params.id)
    return view(params.id)
  })
}
