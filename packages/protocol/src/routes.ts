import { approvalRoutes } from './http/approvals.ts'
import { authRoutes } from './http/auth.ts'
import { budgetRoutes } from './http/budgets.ts'
import { credentialRoutes } from './http/credentials.ts'
import { healthRoutes } from './http/health.ts'
import { sessionRoutes } from './http/sessions.ts'
import { usageRoutes } from './http/usage.ts'
import { workspaceRoutes } from './http/workspaces.ts'

/** The whole HTTP API. */
export const routes = {
  auth: authRoutes,
  workspaces: workspaceRoutes,
  sessions: sessionRoutes,
  approvals: approvalRoutes,
  credentials: credentialRoutes,
  usage: usageRoutes,
  budgets: budgetRoutes,
  health: healthRoutes,
} as const
