import { approvalRoutes } from './http/approvals.ts'
import { auditRoutes } from './http/audit.ts'
import { authRoutes } from './http/auth.ts'
import { healthRoutes } from './http/health.ts'
import { sessionRoutes } from './http/sessions.ts'
import { workspaceRoutes } from './http/workspaces.ts'

/** The whole HTTP API. */
export const routes = {
  auth: authRoutes,
  workspaces: workspaceRoutes,
  sessions: sessionRoutes,
  approvals: approvalRoutes,
  audit: auditRoutes,
  health: healthRoutes,
} as const
