import { Type, type Static } from 'typebox'
import { Time, WorkspaceId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'
import { SharedBy } from './shares.ts'

export const Workspace = Type.Object({
  id: WorkspaceId,
  owner: Type.Union([SharedBy, Type.Null()]),
  name: Type.String(),
  source: Type.Union([Type.Literal('empty'), Type.Literal('git'), Type.Literal('folder')]),
  path: Type.String({ description: 'The folder on the server' }),
  gitUrl: Type.Union([Type.String(), Type.Null()]),
  status: Type.Union([Type.Literal('cloning'), Type.Literal('ready'), Type.Literal('failed')]),
  error: Type.Union([Type.String(), Type.Null()], { description: 'Why cloning failed' }),
  createdAt: Time,
})
export type Workspace = Static<typeof Workspace>

const params = strict({ id: WorkspaceId })
const tag = 'workspaces'

export const workspaceRoutes = {
  create: route({
    id: 'createWorkspace',
    method: 'POST',
    path: '/v1/workspaces',
    summary: 'Create a workspace',
    description:
      'Empty by default; a clone of gitUrl (http or https; status is "cloning" at first; from public addresses, and from where the operator allows); or the existing folder `path` inside one of the roots that the operator allows.',
    tag,
    auth: 'workspaces.write',
    body: strict({
      name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' }),
      gitUrl: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
      branch: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$' })),
      path: Type.Optional(Type.String({ minLength: 1, maxLength: 4096, pattern: '^/' })),
    }),
    status: 201,
    response: Workspace,
  }),
  list: route({
    id: 'listWorkspaces',
    method: 'GET',
    path: '/v1/workspaces',
    summary: 'List your workspaces and those shared with you',
    tag,
    auth: 'workspaces.read',
    status: 200,
    response: Type.Object({ workspaces: Type.Array(Workspace) }),
  }),
  get: route({
    id: 'getWorkspace',
    method: 'GET',
    path: '/v1/workspaces/:id',
    summary: 'Show a workspace',
    tag,
    auth: 'workspaces.read',
    params,
    status: 200,
    response: Workspace,
  }),
  delete: route({
    id: 'deleteWorkspace',
    method: 'DELETE',
    path: '/v1/workspaces/:id',
    summary: 'Delete a workspace',
    description:
      'Removes the folder too, except one that was there before (source "folder"). Refused while a session uses it.',
    tag,
    auth: 'workspaces.write',
    params,
    status: 204,
  }),
} as const
