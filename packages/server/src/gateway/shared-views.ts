import type { Session, Workspace } from '@aicm/protocol'
import { viewSession } from '../session/view.ts'
import { matchesFilter } from '../storage/matches-filter.ts'
import type { SessionFilter, SessionRecord } from '../storage/session-store.ts'
import type { WorkspaceRecord } from '../storage/workspace-store.ts'
import { viewWorkspace } from '../workspaces/workspaces.ts'
import { ownerFor, type Caller } from './access.ts'
import type { Services } from './services.ts'

// What a user sees beside the user's own. Whoever was given nothing pays for one look into a map.

export const viewSessionFor = async (services: Services, user: Caller, record: SessionRecord): Promise<Session> => {
  const view = viewSession(record)
  if (record.userId === user.id) return view
  const ids = [record.id, record.workspaceId]
  return { ...view, owner: await ownerFor(services, user, { userId: record.userId, ids }) }
}

export const viewWorkspaceFor = async (
  services: Services,
  user: Caller,
  record: WorkspaceRecord,
): Promise<Workspace> => ({
  ...viewWorkspace(record),
  owner: await ownerFor(services, user, { userId: record.userId, ids: [record.id] }),
})

const present = <T>(value: T | undefined): value is T => value !== undefined

const sharedWorkspaces = async ({ database, shares }: Services, user: Caller): Promise<WorkspaceRecord[]> => {
  const ids = [...(await shares.listFor(user.id)).keys()].filter((id) => id.startsWith('wsp_'))
  return (await Promise.all(ids.map((id) => database.workspaces.get(id)))).filter(present)
}

type Filter = Omit<SessionFilter, 'userId'>

/** Sessions of others that match, newest first, each once: given by itself, or with its workspace. */
const sharedSessions = async (services: Services, user: Caller, filter: Filter): Promise<SessionRecord[]> => {
  const { database, shares } = services
  const ids = [...(await shares.listFor(user.id)).keys()].filter((id) => id.startsWith('ses_'))
  const single = (await Promise.all(ids.map((id) => database.sessions.get(id))))
    .filter(present)
    .filter((record) => matchesFilter(record, { ...filter, userId: record.userId }))
  const inWorkspaces = await Promise.all(
    (await sharedWorkspaces(services, user))
      .filter(({ id }) => filter.workspaceId === undefined || filter.workspaceId === id)
      .map(({ id, userId }) => database.sessions.list({ ...filter, userId, workspaceId: id })),
  )
  const all = new Map([...single, ...inWorkspaces.flat()].map((record) => [record.id, record]))
  return [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, filter.limit)
}

export const listSessionsFor = async (
  services: Services,
  user: Caller,
  filter: Filter,
): Promise<{ sessions: Session[]; nextCursor: string | null }> => {
  // One more than is shown tells whether there are more.
  const more = { ...filter, limit: filter.limit + 1 }
  const own = await services.database.sessions.list({ ...more, userId: user.id })
  const others = (await services.shares.listFor(user.id)).size === 0 ? [] : await sharedSessions(services, user, more)
  const all = others.length === 0 ? own : [...own, ...others].sort((a, b) => (a.id < b.id ? 1 : -1))
  const page = all.slice(0, filter.limit)
  return {
    sessions:
      others.length === 0
        ? page.map(viewSession)
        : await Promise.all(page.map((record) => viewSessionFor(services, user, record))),
    nextCursor: all.length > filter.limit ? (page.at(-1)?.id ?? null) : null,
  }
}

export const listWorkspacesFor = async (services: Services, user: Caller): Promise<Workspace[]> => {
  const own = (await services.workspaces.list(user.id)).map(viewWorkspace)
  const others = await sharedWorkspaces(services, user)
  return [...own, ...(await Promise.all(others.map((record) => viewWorkspaceFor(services, user, record))))]
}

/** More than that many would not be looked through by a person. */
const mostDriven = 1000

/** Sessions of others that the user may drive, and that ask for something. */
export const drivenSessionsThatAsk = async (services: Services, user: Caller): Promise<SessionRecord[]> => {
  const { shares } = services
  if (![...(await shares.listFor(user.id)).values()].includes('driver')) return []
  const shared = await sharedSessions(services, user, { limit: mostDriven })
  const all = shared.filter(({ state }) => state.approvals.length > 0)
  const access = await Promise.all(all.map(({ id, workspaceId }) => shares.accessOf(user.id, [id, workspaceId])))
  return all.filter((_, at) => access[at] === 'driver')
}
