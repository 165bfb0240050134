import type { Kysely } from 'kysely'
import type { Database } from '../../database.ts'
import { createProjects } from './projects.ts'
import type { SqlErrors } from './run-query.ts'
import { createConfinement } from './confinement.ts'
import type { Schema } from './schema.ts'
import { createTasks } from './tasks.ts'
import { createUsers } from './users.ts'
import { createWorkspaces } from './workspaces.ts'

/** The stores that every SQL database shares: they are not on the hot path, so a query builder writes their SQL. */
export type SqlStores = Pick<Database, 'workspaces' | 'projects' | 'tasks' | 'users' | 'confinement'>

export const createSqlStores = (db: Kysely<Schema>, errors: SqlErrors): SqlStores => ({
  workspaces: createWorkspaces(db, errors),
  projects: createProjects(db, errors),
  tasks: createTasks(db, errors),
  users: createUsers(db, errors),
  confinement: createConfinement(db, errors),
})
