import { routes, type FileEntry, type Input, type Output } from '@aicm/protocol'
import type { Ask, Call, CallOptions, FileContent } from './call.ts'

/** Files of a workspace. Paths are relative to it. */
export type Files = {
  /** One page of a folder. */
  list(workspaceId: string, query?: Input<typeof routes.files.list>['query']): Promise<Output<typeof routes.files.list>>
  /** The content as it comes, from `start` up to `end` (that byte too). It is an error where it ends too early. */
  read(
    workspaceId: string,
    path: string,
    options?: CallOptions & { start?: number; end?: number },
  ): Promise<{ body: ReadableStream<Uint8Array>; etag: string }>
  /** All of it or nothing. `ifMatch`: only if it still has this ETag; `onlyNew`: only if there is nothing yet. */
  write(
    workspaceId: string,
    path: string,
    content: FileContent,
    options?: CallOptions & { ifMatch?: string; onlyNew?: boolean },
  ): Promise<FileEntry>
  /** A file, a link, or an empty folder. */
  remove(workspaceId: string, path: string, options?: CallOptions & { ifMatch?: string }): Promise<void>
  makeFolder(workspaceId: string, path: string): Promise<FileEntry>
}

const matching = (etag: string | undefined): Record<string, string> => (etag === undefined ? {} : { 'if-match': etag })

export const createFiles = (call: Call, ask: Ask): Files => ({
  list: (id, query = {}) => call(routes.files.list, { params: { id }, query }),
  read: async (id, path, { start = 0, end, ...options } = {}) => {
    const isPart = start > 0 || end !== undefined
    const response = await ask(
      routes.files.read,
      { params: { id }, query: { path } },
      { ...options, headers: isPart ? { range: `bytes=${start}-${end ?? ''}` } : {} },
    )
    return { body: response.body ?? new Blob([]).stream(), etag: response.headers.get('etag') ?? '' }
  },
  write: async (id, path, content, { ifMatch, onlyNew, ...options } = {}) => {
    const headers = { ...matching(ifMatch), ...(onlyNew === true && { 'if-none-match': '*' }) }
    const response = await ask(
      routes.files.write,
      { params: { id }, query: { path } },
      { ...options, headers, content },
    )
    return response.json()
  },
  remove: async (id, path, { ifMatch, ...options } = {}) => {
    await ask(routes.files.remove, { params: { id }, query: { path } }, { ...options, headers: matching(ifMatch) })
  },
  makeFolder: (id, path) => call(routes.files.makeFolder, { params: { id }, body: { path } }),
})
