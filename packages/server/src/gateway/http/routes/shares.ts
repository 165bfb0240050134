import { routes, type Share, type ShareWith } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import { isoTime } from '../../../lib/clock.ts'
import type { ShareRecord } from '../../../storage/share-store.ts'
import type { UserRecord } from '../../../storage/user-store.ts'
import { sessionOf, workspaceOf, type Caller } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerShares = (register: Register, services: Services): void => {
  const { database, shares } = services

  const whom = async (wanted: ShareWith): Promise<UserRecord> => {
    const user = await ('username' in wanted
      ? database.users.findByUsername(wanted.username)
      : database.users.get(wanted.userId))
    if (user !== undefined) return user
    throw new AppError('user_not_found', `There is no user ${'username' in wanted ? wanted.username : wanted.userId}.`)
  }

  const view = (share: ShareRecord, username: string): Share => ({
    userId: share.userId,
    username,
    access: share.access,
    createdAt: isoTime(share.createdAt),
  })

  const list = async (targetId: string): Promise<{ shares: Share[] }> => ({
    shares: await Promise.all(
      (await shares.listOf(targetId)).map(async (share) =>
        view(share, (await database.users.get(share.userId))?.username ?? 'removed'),
      ),
    ),
  })

  const put = async (owner: Caller, targetId: string, wanted: ShareWith): Promise<Share> => {
    const user = await whom(wanted)
    if (user.id === owner.id) throw new AppError('invalid_request', 'It is yours already.')
    return view(await shares.put({ targetId, userId: user.id, access: wanted.access }), user.username)
  }

  const { ofSession, shareSession, unshareSession, ofWorkspace, shareWorkspace, unshareWorkspace } = routes.shares
  register(ofSession, async ({ user, params }) => {
    await sessionOf(services, user, params.id, ofSession.auth)
    return list(params.id)
  })
  register(shareSession, async ({ user, params, body }) => {
    await sessionOf(services, user, params.id, shareSession.auth)
    return put(user, params.id, body)
  })
  register(unshareSession, async ({ user, params }) => {
    await sessionOf(services, user, params.id, unshareSession.auth)
    return void (await shares.delete(params.id, params.userId))
  })
  register(ofWorkspace, async ({ user, params }) => {
    await workspaceOf(services, user, params.id, ofWorkspace.auth)
    return list(params.id)
  })
  register(shareWorkspace, async ({ user, params, body }) => {
    await workspaceOf(services, user, params.id, shareWorkspace.auth)
    return put(user, params.id, body)
  })
  register(unshareWorkspace, async ({ user, params }) => {
    await workspaceOf(services, user, params.id, unshareWorkspace.auth)
    return void (await shares.delete(params.id, params.userId))
  })
}
