import { AppError } from '../lib/app-error.ts'
import type { Services } from './services.ts'

const all = 1_000_000_000

/**
 * The account first: nothing new can begin after that. Then the sessions are closed; with `purge` they go, and workspaces and
 * files with them. What was left in the middle is done by calling it again.
 */
export const removeUser = async (services: Services, userId: string, purge: boolean): Promise<void> => {
  const { accounts, database, registry, shares, workspaces } = services
  const sessions = await database.sessions.list({ userId, limit: all })
  const folders = await database.workspaces.list(userId)
  const known = (await database.users.get(userId)) !== undefined
  if (!known && sessions.length + folders.length === 0)
    throw new AppError('user_not_found', `There is no user ${userId}.`)
  if (known) await accounts.remove(userId)

  for (const { id, state } of await database.sessions.list({ userId, limit: all })) {
    await shares.forget(id)
    if (purge) await registry.delete(id)
    else if (state.status !== 'closed') await (await registry.get(id)).close('its user was removed')
  }
  for (const { id } of await database.workspaces.list(userId)) {
    await shares.forget(id)
    if (purge) await workspaces.delete(userId, id)
  }
  if (purge) await services.removeUserFiles(userId)
}
