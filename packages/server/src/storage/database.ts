import type { ApiKeyStore } from './api-key-store.ts'
import type { ApprovalStore } from './approval-store.ts'
import type { AuditStore } from './audit-store.ts'
import type { BudgetStore } from './budget-store.ts'
import type { CredentialStore } from './credential-store.ts'
import type { ConfinementStore } from './confinement-store.ts'
import type { EventStore } from './event-store.ts'
import type { LoginStore } from './login-store.ts'
import type { ProjectStore } from './project-store.ts'
import type { QuotaStore } from './quota-store.ts'
import type { SessionStore } from './session-store.ts'
import type { ShareStore } from './share-store.ts'
import type { TaskStore } from './task-store.ts'
import type { UsageStore } from './usage-store.ts'
import type { UserStore } from './user-store.ts'
import type { WorkspaceStore } from './workspace-store.ts'

/** All stores that share one database, so that an append can change several of them in one transaction. */
export type Database = {
  events: EventStore
  sessions: SessionStore
  approvals: ApprovalStore
  workspaces: WorkspaceStore
  projects: ProjectStore
  tasks: TaskStore
  users: UserStore
  quotas: QuotaStore
  logins: LoginStore
  apiKeys: ApiKeyStore
  shares: ShareStore
  audit: AuditStore
  usage: UsageStore
  credentials: CredentialStore
  budgets: BudgetStore
  confinement: ConfinementStore
  /** For /v1/health: the kind of database, and its newest migration. */
  describe(): { kind: string; schemaVersion: string }
  [Symbol.asyncDispose](): Promise<void>
}
