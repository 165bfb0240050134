import type { Confinement, QuotaChanges, ResourceLimitChanges } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import { foldCase } from '../../fold-case.ts'
import type { ApiKeyRecord } from '../../api-key-store.ts'
import { noUidLeft } from '../../confinement-store.ts'
import type { Database } from '../../database.ts'
import type { LoginRecord } from '../../login-store.ts'
import type { ProjectRecord } from '../../project-store.ts'
import type { ShareRecord } from '../../share-store.ts'
import type { TaskRecord } from '../../task-store.ts'
import type { UserRecord } from '../../user-store.ts'
import type { WorkspaceRecord } from '../../workspace-store.ts'
import { copy } from './copy.ts'
import { createSpending } from './spending.ts'
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

/** Users, and what goes when its user goes. */
const createAccounts = (): Pick<Database, 'users' | 'logins' | 'apiKeys' | 'shares'> => {
  const users = createTable<UserRecord>()
  const logins = createTable<LoginRecord>()
  const keys = createTable<ApiKeyRecord>()
  const shares = createTable<ShareRecord & { id: string }>()

  const findByUsername = (username: string): UserRecord | undefined =>
    users.where((record) => foldCase(record.username) === foldCase(username))[0]
  const assertUser = (id: string): void => {
    if (users.get(id) === undefined) throw new AppError('internal', `There is no user ${id}.`)
  }
  const sharesWhere = (matches: (record: ShareRecord) => boolean): ShareRecord[] =>
    shares.where(matches).map(({ id: _, ...record }) => record)
  const shareId = (targetId: string, userId: string): string => `${targetId} ${userId}`

  return {
    users: {
      create: async (record) => {
        if (findByUsername(record.username) !== undefined)
          throw new AppError('user_exists', `The user name "${record.username}" is taken.`)
        users.insert(record)
      },
      get: async (id) => users.get(id),
      findByUsername: async (username) => findByUsername(username),
      findByOidcId: async (oidcId) => users.where((record) => record.oidcId === oidcId)[0],
      list: async () => users.where(() => true),
      count: async () => users.size,
      update: async (id, changes) => users.update(id, changes),
      delete: async (id) => {
        users.delete(id)
        for (const table of [logins, keys, shares])
          for (const row of table.where((record: { userId: string }) => record.userId === id)) table.delete(row.id)
      },
    },
    logins: {
      create: async (record) => {
        assertUser(record.userId)
        if (logins.where(({ familyHash }) => familyHash === record.familyHash).length > 0)
          throw new AppError('internal', 'This login is stored already.')
        logins.insert(record)
      },
      findByFamily: async (hash) => logins.where(({ familyHash }) => familyHash === hash)[0],
      list: async (userId) => logins.where((record) => record.userId === userId && record.revokedAt === null).reverse(),
      rotate: async (id, from, to) => {
        const stored = logins.get(id)
        if (stored === undefined || stored.tokenHash !== from || stored.revokedAt !== null) return false
        logins.update(id, to)
        return true
      },
      revoke: async (ids, at) => {
        for (const id of ids) if (logins.get(id)?.revokedAt === null) logins.update(id, { revokedAt: at })
      },
      listRevoked: async (now) =>
        logins.where(({ revokedAt, expiresAt }) => revokedAt !== null && expiresAt > now).map(({ id }) => id),
      deleteEnded: async (by) => {
        const ended = ({ expiresAt, revokedAt }: LoginRecord): boolean =>
          expiresAt <= by.expiredAt || (revokedAt !== null && revokedAt <= by.revokedAt)
        for (const { id } of logins.where(ended)) logins.delete(id)
      },
    },
    apiKeys: {
      create: async (record) => {
        assertUser(record.userId)
        if (keys.where(({ keyHash }) => keyHash === record.keyHash).length > 0)
          throw new AppError('internal', 'This key is stored already.')
        keys.insert(record)
      },
      findByHash: async (hash) => keys.where(({ keyHash }) => keyHash === hash)[0],
      list: async (userId) => keys.where((record) => record.userId === userId).reverse(),
      noteUse: async (id, at) => keys.update(id, { lastUsedAt: at }),
      delete: async (id) => keys.delete(id),
    },
    shares: {
      put: async (record) => {
        assertUser(record.userId)
        const id = shareId(record.targetId, record.userId)
        if (shares.get(id) === undefined) shares.insert({ ...record, id })
        else shares.update(id, { access: record.access })
      },
      listOf: async (targetId) => sharesWhere((record) => record.targetId === targetId),
      listFor: async (userId) => sharesWhere((record) => record.userId === userId),
      delete: async (targetId, userId) => shares.delete(shareId(targetId, userId)),
      deleteOf: async (targetId) => {
        for (const { id } of shares.where((record) => record.targetId === targetId)) shares.delete(id)
      },
    },
  }
}

const createConfinement = (): Database['confinement'] => {
  const uids = new Map<string, number>()
  const limits = new Map<string, ResourceLimitChanges>()
  const workspaces = new Map<string, Confinement>()
  return {
    getWorkspace: async (id) => workspaces.get(id),
    setWorkspace: async (id, confinement) => void workspaces.set(id, copy(confinement)),
    getLimits: async (userId) => limits.get(userId),
    setLimits: async (userId, changes) => void limits.set(userId, copy(changes)),
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

const createQuotas = (): Database['quotas'] => {
  const byUser = new Map<string, QuotaChanges>()
  return {
    get: async (userId) => byUser.get(userId),
    listAll: async () => [...byUser].map(([userId, changes]) => ({ userId, changes: copy(changes) })),
    set: async (userId, overrides) => void byUser.set(userId, copy(overrides)),
  }
}

export const createStores = (): Omit<
  Database,
  'events' | 'sessions' | 'approvals' | 'audit' | 'describe' | typeof Symbol.asyncDispose
> => ({
  workspaces: createWorkspaces(),
  projects: createProjects(),
  tasks: createTasks(),
  ...createAccounts(),
  quotas: createQuotas(),
  confinement: createConfinement(),
  ...createSpending(),
})
