import { routes } from '@aicm/protocol'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerKeys = (register: Register, { apiKeys }: Services): void => {
  register(routes.keys.create, ({ user, body }) => apiKeys.create(user, body))
  register(routes.keys.list, async ({ user }) => ({ keys: await apiKeys.list(user.id) }))
  register(routes.keys.delete, async ({ user, params }) => void (await apiKeys.delete(user.id, params.id)))
}
