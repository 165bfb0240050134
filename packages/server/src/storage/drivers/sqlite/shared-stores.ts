import type { SqlStores } from '../sql/stores.ts'
import type { Connection } from './connection.ts'
import { sqliteErrors } from './sqlite-error.ts'

/**
 * The stores written with Kysely, which is loaded when one of them is first used: it takes longer to load (0.1 s) than the
 * rest of the server's start. What every start asks is answered without it.
 */
export const createSharedStores = ({ file, synced, read }: Connection): SqlStores => {
  const countUsers = file.prepare<[], number>('SELECT count(*) FROM users').pluck()
  const listRevoked = file
    .prepare<[number], string>('SELECT id FROM logins WHERE revoked_at IS NOT NULL AND expires_at > ? ORDER BY id')
    .pluck()
  const hasQuotas = file.prepare<[], number>('SELECT EXISTS (SELECT 1 FROM user_quotas)').pluck()
  const hasCredentials = file.prepare<[], number>('SELECT EXISTS (SELECT 1 FROM credentials)').pluck()
  const hasBudgets = file.prepare<[], number>('SELECT EXISTS (SELECT 1 FROM budgets)').pluck()

  let loading: Promise<SqlStores> | undefined
  const load = async (): Promise<SqlStores> => {
    const [{ Kysely, SqliteDialect }, { createSqlStores }] = await Promise.all([
      import('kysely'),
      import('../sql/stores.ts'),
    ])
    return createSqlStores(new Kysely({ dialect: new SqliteDialect({ database: synced }) }), sqliteErrors)
  }
  const stores = (): Promise<SqlStores> => {
    loading ??= load()
    return loading.then((loaded) => read(() => loaded))
  }

  return {
    workspaces: {
      create: async (record) => (await stores()).workspaces.create(record),
      get: async (id) => (await stores()).workspaces.get(id),
      list: async (userId) => (await stores()).workspaces.list(userId),
      update: async (id, changes) => (await stores()).workspaces.update(id, changes),
      listCloning: async () => (await stores()).workspaces.listCloning(),
      delete: async (id) => (await stores()).workspaces.delete(id),
    },
    projects: {
      create: async (record) => (await stores()).projects.create(record),
      get: async (id) => (await stores()).projects.get(id),
      list: async (userId) => (await stores()).projects.list(userId),
      update: async (id, changes) => (await stores()).projects.update(id, changes),
      delete: async (id) => (await stores()).projects.delete(id),
    },
    tasks: {
      create: async (record) => (await stores()).tasks.create(record),
      get: async (id) => (await stores()).tasks.get(id),
      list: async (filter) => (await stores()).tasks.list(filter),
      move: async (id, from, changes) => (await stores()).tasks.move(id, from, changes),
      delete: async (id) => (await stores()).tasks.delete(id),
    },
    quotas: {
      get: async (userId) => (await stores()).quotas.get(userId),
      listAll: async () => (read(() => hasQuotas.get()) === 1 ? (await stores()).quotas.listAll() : []),
      set: async (userId, overrides) => (await stores()).quotas.set(userId, overrides),
    },
    users: {
      create: async (record) => (await stores()).users.create(record),
      get: async (id) => (await stores()).users.get(id),
      findByUsername: async (username) => (await stores()).users.findByUsername(username),
      findByOidcId: async (oidcId) => (await stores()).users.findByOidcId(oidcId),
      list: async () => (await stores()).users.list(),
      count: async () => read(() => countUsers.get()) ?? 0,
      update: async (id, changes) => (await stores()).users.update(id, changes),
      delete: async (id) => (await stores()).users.delete(id),
    },
    logins: {
      create: async (record) => (await stores()).logins.create(record),
      findByFamily: async (familyHash) => (await stores()).logins.findByFamily(familyHash),
      list: async (userId) => (await stores()).logins.list(userId),
      rotate: async (id, from, to) => (await stores()).logins.rotate(id, from, to),
      revoke: async (ids, at) => (await stores()).logins.revoke(ids, at),
      listRevoked: async (now) => read(() => listRevoked.all(now)),
      deleteEnded: async (by) => (await stores()).logins.deleteEnded(by),
    },
    apiKeys: {
      create: async (record) => (await stores()).apiKeys.create(record),
      findByHash: async (keyHash) => (await stores()).apiKeys.findByHash(keyHash),
      list: async (userId) => (await stores()).apiKeys.list(userId),
      noteUse: async (id, at) => (await stores()).apiKeys.noteUse(id, at),
      delete: async (id) => (await stores()).apiKeys.delete(id),
    },
    shares: {
      put: async (record) => (await stores()).shares.put(record),
      listOf: async (targetId) => (await stores()).shares.listOf(targetId),
      listFor: async (userId) => (await stores()).shares.listFor(userId),
      delete: async (targetId, userId) => (await stores()).shares.delete(targetId, userId),
      deleteOf: async (targetId) => (await stores()).shares.deleteOf(targetId),
    },
    usage: {
      add: async (records) => (await stores()).usage.add(records),
      getLastSeq: async (ledger) => (await stores()).usage.getLastSeq(ledger),
      listSums: async (filter, group) => (await stores()).usage.listSums(filter, group),
    },
    credentials: {
      create: async (record) => (await stores()).credentials.create(record),
      get: async (id) => (await stores()).credentials.get(id),
      listAll: async () => (read(() => hasCredentials.get()) === 1 ? (await stores()).credentials.listAll() : []),
      update: async (id, changes) => (await stores()).credentials.update(id, changes),
      delete: async (id) => (await stores()).credentials.delete(id),
    },
    budgets: {
      put: async (record) => (await stores()).budgets.put(record),
      listAll: async () => (read(() => hasBudgets.get()) === 1 ? (await stores()).budgets.listAll() : []),
    },
    confinement: {
      getUid: async (userId) => (await stores()).confinement.getUid(userId),
      giveUid: async (userId, range) => (await stores()).confinement.giveUid(userId, range),
      getLimits: async (userId) => (await stores()).confinement.getLimits(userId),
      setLimits: async (userId, limits) => (await stores()).confinement.setLimits(userId, limits),
      getWorkspace: async (id) => (await stores()).confinement.getWorkspace(id),
      setWorkspace: async (id, confinement) => (await stores()).confinement.setWorkspace(id, confinement),
    },
  }
}
