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

const ToolRule = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: '^[^\\u0000-\\u001f\\u007f]+$',
  description: "A tool, or some uses of it, in claude's words: `Read`, `Bash(git log:*)`",
})

/** What the operator decides about the sessions in a workspace. */
export const Confinement = strict({
  readOnlyMounts: Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^/' }), {
    maxItems: 100,
    description: 'Folders and files of the server that they may read, besides those of --read-only-mount',
  }),
  allowedTools: Type.Array(ToolRule, { maxItems: 500, description: 'What runs without being asked about' }),
  disallowedTools: Type.Array(ToolRule, { maxItems: 500, description: 'What does not run at all' }),
})
export type Confinement = Static<typeof Confinement>

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
  getConfinement: route({
    id: 'getConfinement',
    method: 'GET',
    path: '/v1/workspaces/:id/confinement',
    summary: 'Show what sessions in a workspace may read and use',
    tag,
    auth: 'server.manage',
    params,
    status: 200,
    response: Confinement,
  }),
  setConfinement: route({
    id: 'setConfinement',
    method: 'PUT',
    path: '/v1/workspaces/:id/confinement',
    summary: 'Set what sessions in a workspace may read and use',
    description:
      "Replaces what was set before. Processes that are started later have it. A mount must be the path itself, without links, and not lead to the server's own data.",
    tag,
    auth: 'server.manage',
    params,
    body: Confinement,
    status: 200,
    response: Confinement,
  }),
} as const
