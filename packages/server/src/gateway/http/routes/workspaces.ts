import { routes } from '@aicm/protocol'
import { viewWorkspace } from '../../../workspaces/workspaces.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerWorkspaces = (register: Register, { workspaces, quotas }: Services): void => {
  register(routes.workspaces.create, async ({ user, body }) => {
    await quotas.assertBytes(user.id)
    return viewWorkspace(await workspaces.create(user.id, body))
  })
  register(routes.workspaces.list, async ({ user }) => ({
    workspaces: (await workspaces.list(user.id)).map(viewWorkspace),
  }))
  register(routes.workspaces.get, async ({ user, params }) => viewWorkspace(await workspaces.get(user.id, params.id)))
  register(routes.workspaces.delete, async ({ user, params }) => void (await workspaces.delete(user.id, params.id)))
}
