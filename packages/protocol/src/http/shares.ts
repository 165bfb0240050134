import { Type, type Static } from 'typebox'
import { SessionId, Time, UserId, WorkspaceId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'
import { Username } from './users.ts'

export const Access = Type.Union([Type.Literal('viewer'), Type.Literal('driver')])
export type Access = Static<typeof Access>

/** In a view: whose it is, and what one may do with it. Null where it is one's own. */
export const SharedBy = Type.Object(
  { id: UserId, username: Type.String(), access: Access },
  { description: 'Who has shared it with you; null for your own' },
)
export type SharedBy = Static<typeof SharedBy>

export const Share = Type.Object({ userId: UserId, username: Type.String(), access: Access, createdAt: Time })
export type Share = Static<typeof Share>

/** With whom: by name, or by id. */
export const ShareWith = Type.Union([
  strict({ username: Username, access: Access }),
  strict({ userId: UserId, access: Access }),
])
export type ShareWith = Static<typeof ShareWith>

const response = Type.Object({ shares: Type.Array(Share) })
const tag = 'shares'
const session = strict({ id: SessionId })
const workspace = strict({ id: WorkspaceId })

export const shareRoutes = {
  ofSession: route({
    id: 'listSessionShares',
    method: 'GET',
    path: '/v1/sessions/:id/shares',
    summary: 'With whom a session is shared',
    tag,
    auth: 'sessions.manage',
    params: session,
    status: 200,
    response,
  }),
  shareSession: route({
    id: 'shareSession',
    method: 'PUT',
    path: '/v1/sessions/:id/shares',
    summary: 'Share a session with a user',
    description:
      'A viewer reads it, a driver also sends prompts and answers permission requests. Again with another `access` changes it.',
    tag,
    auth: 'sessions.manage',
    params: session,
    body: ShareWith,
    status: 200,
    response: Share,
  }),
  unshareSession: route({
    id: 'unshareSession',
    method: 'DELETE',
    path: '/v1/sessions/:id/shares/:userId',
    summary: 'Stop sharing a session with a user',
    description: 'What the user has open of it ends at once.',
    tag,
    auth: 'sessions.manage',
    params: strict({ id: SessionId, userId: UserId }),
    status: 204,
  }),
  ofWorkspace: route({
    id: 'listWorkspaceShares',
    method: 'GET',
    path: '/v1/workspaces/:id/shares',
    summary: 'With whom a workspace is shared',
    tag,
    auth: 'workspaces.write',
    params: workspace,
    status: 200,
    response,
  }),
  shareWorkspace: route({
    id: 'shareWorkspace',
    method: 'PUT',
    path: '/v1/workspaces/:id/shares',
    summary: 'Share a workspace with a user',
    description: 'And with it all of your sessions in it, those that come later too.',
    tag,
    auth: 'workspaces.write',
    params: workspace,
    body: ShareWith,
    status: 200,
    response: Share,
  }),
  unshareWorkspace: route({
    id: 'unshareWorkspace',
    method: 'DELETE',
    path: '/v1/workspaces/:id/shares/:userId',
    summary: 'Stop sharing a workspace with a user',
    tag,
    auth: 'workspaces.write',
    params: strict({ id: WorkspaceId, userId: UserId }),
    status: 204,
  }),
} as const
