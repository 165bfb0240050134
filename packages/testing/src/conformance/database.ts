import type { Database } from '@aicm/server/storage/database'
import { describe } from 'vitest'
import { apiKeyTests, loginTests, shareTests } from './database/accounts.ts'
import { approvalTests } from './database/approvals.ts'
import { auditTests } from './database/audit.ts'
import { confinementTests } from './database/confinement.ts'
import { eventTests } from './database/events.ts'
import { projectTests } from './database/projects.ts'
import { quotaTests } from './database/quotas.ts'
import { sessionTests } from './database/sessions.ts'
import { spendingTests } from './database/spending.ts'
import { taskTests } from './database/tasks.ts'
import { userTests } from './database/users.ts'
import { workspaceTests } from './database/workspaces.ts'

/** Opens an empty database; the test that asked for it closes it. */
export type OpenDatabase = () => Promise<Database>

/** What every driver of the database contract promises. Registers its tests with vitest. */
export const databaseConformance = (name: string, open: OpenDatabase): void => {
  describe(`${name}: events`, () => eventTests(open))
  describe(`${name}: sessions`, () => sessionTests(open))
  describe(`${name}: approvals`, () => approvalTests(open))
  describe(`${name}: workspaces`, () => workspaceTests(open))
  describe(`${name}: projects`, () => projectTests(open))
  describe(`${name}: tasks`, () => taskTests(open))
  describe(`${name}: quotas`, () => quotaTests(open))
  describe(`${name}: usage, credentials, budgets`, () => spendingTests(open))
  describe(`${name}: users`, () => userTests(open))
  describe(`${name}: logins`, () => loginTests(open))
  describe(`${name}: API keys`, () => apiKeyTests(open))
  describe(`${name}: shares`, () => shareTests(open))
  describe(`${name}: audit`, () => auditTests(open))
  describe(`${name}: confinement`, () => confinementTests(open))
}
