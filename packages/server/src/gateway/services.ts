import type { Health, HealthStatus } from '@aicm/protocol'
import type { Accounts } from '../auth/accounts.ts'
import type { Tickets } from '../auth/tickets.ts'
import type { AccessTokens } from '../auth/tokens.ts'
import type { Spending } from '../broker/spending.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Registry } from '../session/registry.ts'
import type { Database } from '../storage/database.ts'
import type { Workspaces } from '../workspaces/workspaces.ts'

/** What the gateway is built on: everything it may call, wired in main.ts. */
export type Services = {
  database: Database
  registry: Registry
  workspaces: Workspaces
  accounts: Accounts
  accessTokens: AccessTokens
  tickets: Tickets
  spending: Spending
  health(): Promise<Health>
  /** What the background checker has found. */
  healthChecker: {
    last(): HealthStatus | undefined
    onChange(listener: (status: HealthStatus) => void): () => void
  }
  /** Throws AppError when no session can be started: before anything is created. */
  assertCanStart(): void
  clock: Clock
  log: Log
  version: string
}
