import { routes, type Confinement } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import { viewWorkspace } from '../../../workspaces/workspaces.ts'
import { workspaceOf } from '../../access.ts'
import type { Services } from '../../services.ts'
import { listWorkspacesFor, viewWorkspaceFor } from '../../shared-views.ts'
import type { Register } from '../register.ts'

const unconfined: Confinement = { readOnlyMounts: [], allowedTools: [], disallowedTools: [] }

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
  const known = async (id: string) => {
    const record = await services.database.workspaces.get(id)
    if (record === undefined) throw new AppError('workspace_not_found', `There is no workspace ${id}.`)
    return record
  }
  const confinementOf = async (id: string): Promise<Confinement> =>
    (await services.database.confinement.getWorkspace(id)) ?? unconfined
  register(routes.workspaces.getConfinement, async ({ params }) => confinementOf((await known(params.id)).id))
  register(routes.workspaces.setConfinement, async ({ params, body }) => {
    const { id, userId } = await known(params.id)
    for (const path of body.readOnlyMounts) await services.assertMountable(path)
    await services.database.confinement.setWorkspace(id, body)
    services.registry.dropSpares(userId)
    return confinementOf(id)
  })
  register(routes.workspaces.delete, async ({ user, params }) => {
    await workspaceOf(services, user, params.id, routes.workspaces.delete.auth)
    await workspaces.delete(user.id, params.id)
    return void (await shares.forget(params.id))
  })
}
