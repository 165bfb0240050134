import type { Health, HealthStatus } from '@aicm/protocol'
import type { AccessChanges } from '../auth/access-changes.ts'
import type { Audit } from '../audit/audit.ts'
import type { Accounts } from '../auth/accounts.ts'
import type { ApiKeys } from '../auth/api-keys.ts'
import type { Logins } from '../auth/logins.ts'
import type { Oidc } from '../auth/oidc.ts'
import type { Shares } from '../auth/shares.ts'
import type { SigningKeys } from '../auth/signing-keys.ts'
import type { Tickets } from '../auth/tickets.ts'
import type { AccessTokens } from '../auth/tokens.ts'
import type { Spending } from '../broker/spending.ts'
import type { Files } from '../files/files.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Registry } from '../session/registry.ts'
import type { Database } from '../storage/database.ts'
import type { UserLimits } from '../quotas/limits.ts'
import type { UserQuotas } from '../quotas/quotas.ts'
import type { RunningProcesses } from '../session/processes.ts'
import type { LoginLimiter } from '../rate-limit/login-limiter.ts'
import type { Workspaces } from '../workspaces/workspaces.ts'
import type { Origins } from './client-address.ts'
import type { RequestLimits } from './request-limits.ts'

/** What the gateway is built on: everything it may call, wired in main.ts. */
export type Services = {
  database: Database
  registry: Registry
  workspaces: Workspaces
  files: Files
  accounts: Accounts
  logins: Logins
  apiKeys: ApiKeys
  oidc: Oidc | undefined
  shares: Shares
  accessChanges: AccessChanges
  signingKeys: SigningKeys
  accessTokens: AccessTokens
  tickets: Tickets
  audit: Pick<Audit, 'record' | 'anchor'>
  spending: Spending
  health(): Promise<Health>
  /** What the background checker has found. */
  healthChecker: {
    last(): HealthStatus | undefined
    onChange(listener: (status: HealthStatus) => void): () => void
  }
  metrics: Metrics
  /** Throws AppError when no session can be started: before anything is created. */
  assertCanStart(): void
  /** All that a user who is gone has left on the disk. */
  removeUserFiles(userId: string): Promise<void>
  /** Who may ask how much. */
  limits: RequestLimits
  loginLimiter: LoginLimiter
  quotas: UserQuotas
  /** What their sessions' processes may take of the machine. */
  userLimits: UserLimits
  processes: Pick<RunningProcesses, 'resources'>
  /** Rejects with invalid_request where sessions must not be shown this. */
  assertMountable(path: string): Promise<void>
  /** Where requests come from. */
  origins: Origins
  clock: Clock
  log: Log
  version: string
}
