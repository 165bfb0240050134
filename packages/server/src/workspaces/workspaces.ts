import { mkdir, realpath, rm, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { Input, routes, Workspace } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import type { Log } from '../lib/log.ts'
import { removeTree } from '../process/remove-tree.ts'
import type { Database } from '../storage/database.ts'
import type { WorkspaceRecord } from '../storage/workspace-store.ts'
import { checkGitUrl } from './clone.ts'
import { restartedText, type Clone, type Clones } from './clones.ts'

export type CreateWorkspace = Input<typeof routes.workspaces.create>['body']

/** The folders that sessions work in. */
export type Workspaces = {
  create(userId: string, body: CreateWorkspace): Promise<WorkspaceRecord>
  /** A folder for a workspace that may be made later, by `claim`. */
  reserve(userId: string): Promise<ReservedWorkspace>
  claim(userId: string, reserved: ReservedWorkspace): Promise<WorkspaceRecord>
  /** Removes a folder that was not claimed. */
  unreserve(reserved: ReservedWorkspace): Promise<void>
  /** Rejects with workspace_not_found when it is not the user's. */
  get(userId: string, id: string): Promise<WorkspaceRecord>
  list(userId: string): Promise<WorkspaceRecord[]>
  delete(userId: string, id: string): Promise<void>
  /** After a start of the server: a clone that was under way did not finish. */
  restore(): Promise<void>
}

export type ReservedWorkspace = { id: string; name: string; path: string }

export const viewWorkspace = ({ userId: _, createdAt, ...record }: WorkspaceRecord): Workspace => ({
  ...record,
  owner: null,
  createdAt: isoTime(createdAt),
})

export const createWorkspaces = (
  { workspaces, sessions }: Pick<Database, 'workspaces' | 'sessions'>,
  options: { dataDir: string; roots: string[]; clones: Clones; clock: Clock; log: Log },
): Workspaces => {
  const { clones } = options
  const ownFolder = (userId: string, name: string): string => join(options.dataDir, 'workspaces', userId, name)

  const existingFolder = async (path: string): Promise<string> => {
    const real = await realpath(path).catch(() => undefined)
    const roots = await Promise.all(options.roots.map((root) => realpath(root).catch(() => root)))
    // What does not exist and what is outside get the same answer: the server tells nobody about its file system.
    if (
      real === undefined ||
      !roots.some((root) => real === root || real.startsWith(root.endsWith(sep) ? root : root + sep))
    )
      throw new AppError('path_outside_roots', `${path} is not a folder inside an allowed root.`)
    const dataDir = await realpath(options.dataDir)
    if (`${dataDir}${sep}`.startsWith(`${real}${sep}`) || real.startsWith(`${dataDir}${sep}`))
      throw new AppError('path_outside_roots', `${path} holds the server's own data, which no session may see.`)
    if (!(await stat(real)).isDirectory())
      throw new AppError('path_outside_roots', `${path} is not a folder inside an allowed root.`)
    return real
  }

  const runClone = async (id: string, clone: Clone, repository: Parameters<Clone['run']>[0]): Promise<void> => {
    try {
      const error = await clone.run(repository).catch((error: unknown) => {
        options.log.error({ err: error, workspaceId: id }, 'what a clone has left could not be removed')
        return 'internal: Something went wrong in the server. Delete this workspace and create it again.'
      })
      if (error !== undefined) options.log.warn({ workspaceId: id, error }, 'a clone failed')
      await workspaces.update(id, error === undefined ? { status: 'ready', error: null } : { status: 'failed', error })
    } finally {
      clone.release()
    }
  }

  const get: Workspaces['get'] = async (userId, id) => {
    const record = await workspaces.get(id)
    if (record?.userId !== userId) throw new AppError('workspace_not_found', `There is no workspace ${id}.`)
    return record
  }

  return {
    create: async (userId, body) => {
      if (body.path !== undefined && body.gitUrl !== undefined)
        throw new AppError('invalid_request', 'Give gitUrl or path, not both.')
      if (body.branch !== undefined && body.gitUrl === undefined)
        throw new AppError('invalid_request', 'branch needs gitUrl.')
      if (body.gitUrl !== undefined) checkGitUrl(body.gitUrl)
      const now = options.clock.now()
      const record: WorkspaceRecord = {
        id: newId('wsp', now),
        userId,
        name: body.name,
        source: body.gitUrl !== undefined ? 'git' : body.path !== undefined ? 'folder' : 'empty',
        path: body.path === undefined ? ownFolder(userId, body.name) : await existingFolder(body.path),
        gitUrl: body.gitUrl ?? null,
        status: body.gitUrl === undefined ? 'ready' : 'cloning',
        error: null,
        createdAt: now,
      }
      const clone = body.gitUrl === undefined ? undefined : clones.take(record)
      try {
        await workspaces.create(record)
        if (record.source !== 'folder') await mkdir(record.path, { recursive: true, mode: 0o700 })
      } catch (error) {
        clone?.release()
        throw error
      }
      if (body.gitUrl !== undefined && clone !== undefined)
        runClone(record.id, clone, { url: body.gitUrl, branch: body.branch }).catch((error: unknown) =>
          options.log.error({ err: error, workspaceId: record.id }, 'the end of a clone could not be stored'),
        )
      return record
    },

    reserve: async (userId) => {
      const id = newId('wsp', options.clock.now())
      const name = `session-${id.slice(-8)}`
      const path = ownFolder(userId, name)
      await mkdir(path, { recursive: true, mode: 0o700 })
      return { id, name, path }
    },
    claim: async (userId, { id, name, path }) => {
      const record: WorkspaceRecord = {
        ...{ id, userId, name, path },
        ...{ source: 'empty', gitUrl: null, status: 'ready', error: null, createdAt: options.clock.now() },
      }
      await workspaces.create(record)
      return record
    },
    unreserve: ({ path }) => rm(path, { recursive: true, force: true }),

    get,
    list: (userId) => workspaces.list(userId),

    delete: async (userId, id) => {
      const record = await get(userId, id)
      if ((await sessions.countOpen(id)) > 0)
        throw new AppError('workspace_in_use', 'Sessions that are not closed use this workspace.')
      await clones.end(id)
      await workspaces.delete(id)
      // A process of a session that was closed a moment ago may still be there.
      if (record.source !== 'folder') await removeTree(record.path)
    },

    restore: async () => {
      for (const record of await workspaces.listCloning()) {
        if (clones.has(record.id)) continue
        await clones.sweep(record)
        await mkdir(record.path, { recursive: true, mode: 0o700 })
        await workspaces.update(record.id, {
          status: 'failed',
          error: restartedText,
        })
      }
    },
  }
}
