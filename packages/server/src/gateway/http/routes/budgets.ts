import { routes } from '@aicm/protocol'
import { authorize } from '../../../auth/authorize.ts'
import { AppError } from '../../../lib/app-error.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerBudgets = (register: Register, { database, spending }: Services): void => {
  const { budgets } = spending
  register(routes.budgets.list, async ({ user }) => ({
    budgets: await budgets.of(user.id),
    ...(authorize(user, routes.budgets.set.auth) === 'allow' ? { settings: await budgets.settings() } : {}),
  }))
  register(routes.budgets.set, async ({ body }) => {
    if (body.of.startsWith('usr_') && (await database.users.get(body.of)) === undefined)
      throw new AppError('invalid_request', `There is no user ${body.of}.`)
    return budgets.set(body)
  })
}
