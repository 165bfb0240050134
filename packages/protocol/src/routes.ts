import { approvalRoutes } from './http/approvals.ts'
import { authRoutes } from './http/auth.ts'
import { healthRoutes } from './http/health.ts'
import { quotaRoutes } from './http/quotas.ts'
import { sessionRoutes } from './http/sessions.ts'
import { workspaceRoutes } from './http/workspaces.ts'

/** The whole HTTP API. */
export const routes = {
  auth: authRoutes,
  workspaces: workspaceRoutes,
  sessions: sessionRoutes,
  approvals: approvalRoutes,
  quotas: quotaRoutes,
  health: healthRoutes,
} as const
