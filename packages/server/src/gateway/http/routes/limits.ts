import { routes } from '@aicm/protocol'
import { knownUser } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerLimits = (register: Register, services: Services): void => {
  const { registry, userLimits } = services
  register(routes.limits.mine, ({ user }) => userLimits.of(user.id))
  register(routes.limits.get, async ({ params }) => userLimits.of(await knownUser(services, params.id)))
  register(routes.limits.set, async ({ params, body }) => {
    await userLimits.set(await knownUser(services, params.id), body)
    registry.dropSpares(params.id)
    return userLimits.of(params.id)
  })
}
