import { routes } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerQuotas = (register: Register, { database, quotas }: Services): void => {
  const known = async (id: string): Promise<string> => {
    if ((await database.users.get(id)) === undefined) throw new AppError('user_not_found', `There is no user ${id}.`)
    return id
  }
  register(routes.quotas.mine, ({ user }) => quotas.view(user.id))
  register(routes.quotas.get, async ({ params }) => quotas.view(await known(params.id)))
  register(routes.quotas.set, async ({ params, body }) => {
    await quotas.set(await known(params.id), body)
    return quotas.view(params.id)
  })
}
