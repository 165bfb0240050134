import type { Kysely } from 'kysely'
import type { Database } from '../../database.ts'
import { createApiKeys } from './api-keys.ts'
import { createLogins } from './logins.ts'
import { createBudgets } from './budgets.ts'
import { createCredentials } from './credentials.ts'
import { createProjects } from './projects.ts'
import { createQuotas } from './quotas.ts'
import type { SqlErrors } from './run-query.ts'
import { createConfinement } from './confinement.ts'
import type { Schema } from './schema.ts'
import { createShares } from './shares.ts'
import { createTasks } from './tasks.ts'
import { createUsage } from './usage.ts'
import { createUsers } from './users.ts'
import { createWorkspaces } from './workspaces.ts'

/** The stores that every SQL database shares: they are not on the hot path, so a query builder writes their SQL. */
export type SqlStores = Pick<
  Database,
  | 'workspaces'
  | 'projects'
  | 'tasks'
  | 'users'
  | 'logins'
  | 'apiKeys'
  | 'shares'
  | 'quotas'
  | 'usage'
  | 'credentials'
  | 'budgets'
  | 'confinement'
>

export const createSqlStores = (db: Kysely<Schema>, errors: SqlErrors): SqlStores => ({
  workspaces: createWorkspaces(db, errors),
  projects: createProjects(db, errors),
  tasks: createTasks(db, errors),
  users: createUsers(db, errors),
  logins: createLogins(db, errors),
  apiKeys: createApiKeys(db, errors),
  shares: createShares(db, errors),
  quotas: createQuotas(db, errors),
  usage: createUsage(db, errors),
  credentials: createCredentials(db, errors),
  budgets: createBudgets(db, errors),
  confinement: createConfinement(db, errors),
})
