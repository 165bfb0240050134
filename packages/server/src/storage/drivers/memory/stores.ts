import { AppError } from '../../../lib/app-error.ts'
import { foldCase } from '../../fold-case.ts'
import { noUidLeft } from '../../confinement-store.ts'
import type { Database } from '../../database.ts'
import type { ProjectRecord } from '../../project-store.ts'
import type { TaskRecord } from '../../task-store.ts'
import type { RefreshTokenRecord, UserRecord } from '../../user-store.ts'
import type { WorkspaceRecord } from '../../workspace-store.ts'
import { copy } from './copy.ts'
import { createTable } from './table.ts'

const createWorkspaces = (): Database['workspaces'] => {
  const table = createTable<WorkspaceRecord>()
  return {
    create: async (record) => {
      if (table.where(({ userId, name }) => userId === record.userId && name === record.name).length > 0) {
        throw new AppError('workspace_exists', `You have a workspace named "${record.name}" already.`)
      }
      table.insert(record)
    },
    get: async (id) => table.get(id),
    list: async (userId) => table.where((record) => record.userId === userId).reverse(),
    update: async (id, { status, error }) => table.update(id, { status, error }),
    listCloning: async () => table.where((record) => record.status === 'cloning'),
    delete: async (id) => table.delete(id),
  }
}

const createProjects = (): Database['projects'] => {
  const table = createTable<ProjectRecord>()
  const assertFree = (project: { id: string; userId: string; name: string }): void => {
    const others = table.where(
      ({ id, userId, name }) => id !== project.id && userId === project.userId && name === project.name,
    )
    if (others.length > 0) {
      throw new AppError('invalid_request', `You have a project named "${project.name}" already.`, {
        hint: 'Choose another name.',
      })
    }
  }
  return {
    create: async (record) => {
      assertFree(record)
      table.insert(record)
    },
    get: async (id) => table.get(id),
    list: async (userId) => table.where((record) => record.userId === userId).reverse(),
    update: async (id, changes) => {
      const stored = table.get(id)
      if (stored === undefined) return
      assertFree({ ...stored, ...copy(changes) })
      table.update(id, changes)
    },
    delete: async (id) => table.delete(id),
  }
}

const createTasks = (): Database['tasks'] => {
  const table = createTable<TaskRecord>()
  return {
    create: async (record) => table.insert(record),
    get: async (id) => table.get(id),
    list: async ({ userId, status, limit }) =>
      table
        .where((record) => record.userId === userId && (status === undefined || record.status === status))
        .slice(0, limit),
    move: async (id, from, changes) => {
      if (table.get(id)?.status !== from) return false
      table.update(id, changes)
      return true
    },
    delete: async (id) => table.delete(id),
  }
}

const createUsers = (): Database['users'] => {
  const table = createTable<UserRecord>()
  const refreshTokens = new Map<string, RefreshTokenRecord>()
  const findByUsername = (username: string): UserRecord | undefined =>
    table.where((record) => foldCase(record.username) === foldCase(username))[0]
  return {
    create: async (record) => {
      if (findByUsername(record.username) !== undefined) {
        throw new AppError('invalid_request', `The user name "${record.username}" is taken.`, {
          hint: 'Choose another name.',
        })
      }
      table.insert(record)
    },
    get: async (id) => table.get(id),
    findByUsername: async (username) => findByUsername(username),
    count: async () => table.size,
    saveRefreshToken: async (record) => {
      if (table.get(record.userId) === undefined) throw new AppError('internal', `There is no user ${record.userId}.`)
      if (refreshTokens.has(record.tokenHash)) throw new AppError('internal', 'This refresh token is stored already.')
      refreshTokens.set(record.tokenHash, copy(record))
    },
  }
}

const createConfinement = (): Database['confinement'] => {
  const uids = new Map<string, number>()
  return {
    getUid: async (userId) => uids.get(userId),
    giveUid: async (userId, { first, last }) => {
      const taken = [...uids.values()].filter((uid) => uid >= first && uid <= last)
      const uid = uids.get(userId) ?? Math.max(first - 1, ...taken) + 1
      if (uid > last) throw noUidLeft(first, last)
      uids.set(userId, uid)
      return uid
    },
  }
}

export const createStores = (): Pick<Database, 'workspaces' | 'projects' | 'tasks' | 'users' | 'confinement'> => ({
  workspaces: createWorkspaces(),
  projects: createProjects(),
  tasks: createTasks(),
  users: createUsers(),
  confinement: createConfinement(),
})
