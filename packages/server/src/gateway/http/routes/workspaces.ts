import { routes } from '@aicm/protocol'
import { viewWorkspace } from '../../../workspaces/workspaces.ts'
import { workspaceOf } from '../../access.ts'
import type { Services } from '../../services.ts'
import { listWorkspacesFor, viewWorkspaceFor } from '../../shared-views.ts'
import type { Register } from '../register.ts'

export const registerWorkspaces = (register: Register, services: Services): void => {
  const { workspaces, shares, quotas } = services
  register(routes.workspaces.create, async ({ user, body }) => {
    await quotas.assertBytes(user.id)
    return viewWorkspace(await workspaces.create(user.id, body))
  })
  register(routes.workspaces.list, async ({ user }) => ({ workspaces: await listWorkspacesFor(services, user) }))
  register(routes.workspaces.get, async ({ user, params }) =>
    viewWorkspaceFor(services, user, await workspaceOf(services, user, params.id, routes.workspaces.get.auth)),
  )
  register(routes.workspaces.delete, async ({ user, params }) => {
    await workspaceOf(services, user, params.id, routes.workspaces.delete.auth)
    await workspaces.delete(user.id, params.id)
    return void (await shares.forget(params.id))
  })
}
