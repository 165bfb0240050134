import { routes } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerLimits = (register: Register, { database, registry, userLimits }: Services): void => {
  const known = async (id: string): Promise<string> => {
    if ((await database.users.get(id)) === undefined) throw new AppError('user_not_found', `There is no user ${id}.`)
    return id
  }
  register(routes.limits.mine, ({ user }) => userLimits.of(user.id))
  register(routes.limits.get, async ({ params }) => userLimits.of(await known(params.id)))
  register(routes.limits.set, async ({ params, body }) => {
    await userLimits.set(await known(params.id), body)
    registry.dropSpares(params.id)
    return userLimits.of(params.id)
  })
}
