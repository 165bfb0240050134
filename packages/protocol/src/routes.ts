import { approvalRoutes } from './http/approvals.ts'
import { auditRoutes } from './http/audit.ts'
import { authRoutes } from './http/auth.ts'
import { healthRoutes } from './http/health.ts'
import { keyRoutes } from './http/keys.ts'
import { quotaRoutes } from './http/quotas.ts'
import { sessionRoutes } from './http/sessions.ts'
import { shareRoutes } from './http/shares.ts'
import { userRoutes } from './http/users.ts'
import { workspaceRoutes } from './http/workspaces.ts'

/** The whole HTTP API. */
export const routes = {
  auth: authRoutes,
  users: userRoutes,
  keys: keyRoutes,
  workspaces: workspaceRoutes,
  sessions: sessionRoutes,
  shares: shareRoutes,
  approvals: approvalRoutes,
  audit: auditRoutes,
  quotas: quotaRoutes,
  health: healthRoutes,
} as const
