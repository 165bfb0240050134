import { approvalRoutes } from './http/approvals.ts'
import { auditRoutes } from './http/audit.ts'
import { authRoutes } from './http/auth.ts'
import { budgetRoutes } from './http/budgets.ts'
import { credentialRoutes } from './http/credentials.ts'
import { fileRoutes } from './http/files.ts'
import { healthRoutes } from './http/health.ts'
import { keyRoutes } from './http/keys.ts'
import { limitRoutes } from './http/limits.ts'
import { oidcRoutes } from './http/oidc.ts'
import { quotaRoutes } from './http/quotas.ts'
import { sessionRoutes } from './http/sessions.ts'
import { shareRoutes } from './http/shares.ts'
import { userRoutes } from './http/users.ts'
import { usageRoutes } from './http/usage.ts'
import { workspaceRoutes } from './http/workspaces.ts'

/** The whole HTTP API. */
export const routes = {
  auth: authRoutes,
  oidc: oidcRoutes,
  users: userRoutes,
  keys: keyRoutes,
  workspaces: workspaceRoutes,
  files: fileRoutes,
  sessions: sessionRoutes,
  shares: shareRoutes,
  approvals: approvalRoutes,
  audit: auditRoutes,
  quotas: quotaRoutes,
  limits: limitRoutes,
  credentials: credentialRoutes,
  usage: usageRoutes,
  budgets: budgetRoutes,
  health: healthRoutes,
} as const
