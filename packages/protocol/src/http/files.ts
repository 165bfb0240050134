import { Type, type Static } from 'typebox'
import { Time, WorkspaceId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

export const FileEntry = Type.Object({
  name: Type.String(),
  escaped: Type.Boolean({
    description: 'The name is no UTF-8: bytes beyond ASCII are shown as \\xNN, and no path leads to it',
  }),
  type: Type.Union([Type.Literal('file'), Type.Literal('folder'), Type.Literal('link'), Type.Literal('other')]),
  size: Type.Union([Type.Integer(), Type.Null()], { description: 'Bytes of a file' }),
  modifiedAt: Time,
  target: Type.Union([Type.String(), Type.Null()], { description: 'Where a link points, as it is written there' }),
  etag: Type.Union([Type.String(), Type.Null()], { description: 'Of a file: for If-Match' }),
})
export type FileEntry = Static<typeof FileEntry>

/** What cannot be written in a path of the system is refused by the path's own check, with its reason. */
const FilePath = Type.String({
  maxLength: 4096,
  description: 'Relative to the workspace, names with / between. Without it: the folder of the workspace itself',
})
/** Opaque: what the previous page gave as `nextCursor`. A name may have 255 bytes. */
const ListCursor = Type.String({ minLength: 1, maxLength: 400, pattern: '^[A-Za-z0-9_-]+$' })

const params = strict({ id: WorkspaceId })
const query = strict({ path: Type.Optional(FilePath) })
const tag = 'files'

export const fileRoutes = {
  list: route({
    id: 'listFiles',
    method: 'GET',
    path: '/v1/workspaces/:id/files',
    summary: 'List a folder of a workspace',
    description: 'In the order of the bytes of the names. A link is shown, not followed.',
    tag,
    auth: 'files.read',
    params,
    query: strict({
      path: Type.Optional(FilePath),
      cursor: Type.Optional(ListCursor),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: '200 when absent' })),
    }),
    status: 200,
    response: Type.Object({
      entries: Type.Array(FileEntry),
      nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
    }),
  }),
  read: route({
    id: 'readFile',
    method: 'GET',
    path: '/v1/workspaces/:id/files/content',
    summary: 'Read a file',
    description:
      'Always application/octet-stream, to be saved and not shown. `Range` (one range, with `If-Range`), `If-Match` and `If-None-Match` count.',
    tag,
    auth: 'files.read',
    params,
    query,
    status: 200,
    bytes: 'answer',
  }),
  write: route({
    id: 'writeFile',
    method: 'PUT',
    path: '/v1/workspaces/:id/files/content',
    summary: 'Write a file',
    description:
      'It has all of the new content afterwards, or is as it was. `If-Match` with its ETag keeps what others wrote meanwhile, `If-None-Match: *` what is there.',
    tag,
    auth: 'files.write',
    params,
    query,
    status: 200,
    bytes: 'body',
    response: FileEntry,
  }),
  remove: route({
    id: 'removeFile',
    method: 'DELETE',
    path: '/v1/workspaces/:id/files',
    summary: 'Remove a file, a link, or an empty folder',
    tag,
    auth: 'files.write',
    params,
    query,
    status: 204,
  }),
  makeFolder: route({
    id: 'makeFolder',
    method: 'POST',
    path: '/v1/workspaces/:id/files',
    summary: 'Make a folder',
    tag,
    auth: 'files.write',
    params,
    body: strict({ path: Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]+$' }) }),
    status: 201,
    response: FileEntry,
  }),
} as const
