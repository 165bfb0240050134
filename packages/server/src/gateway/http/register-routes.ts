import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { viewText } from '../../session/view.ts'
import type { Services } from '../services.ts'
import { createRegister } from './register.ts'
import { registerApprovals } from './routes/approvals.ts'
import { registerAudit } from './routes/audit.ts'
import { registerAuth } from './routes/auth.ts'
import { registerBudgets } from './routes/budgets.ts'
import { registerCredentials } from './routes/credentials.ts'
import { registerFiles } from './routes/files.ts'
import { registerHealth } from './routes/health.ts'
import { registerKeys } from './routes/keys.ts'
import { registerOidc } from './routes/oidc.ts'
import { registerLimits } from './routes/limits.ts'
import { registerQuotas } from './routes/quotas.ts'
import { registerSessions } from './routes/sessions.ts'
import { registerShares } from './routes/shares.ts'
import { registerUsers } from './routes/users.ts'
import { registerUsage } from './routes/usage.ts'
import { registerWorkspaces } from './routes/workspaces.ts'

/** Our own checks run in the handler, after the token; schemas only describe. Without compilers of its own fastify loads none. */
export const schemaController = {
  compilersFactory: {
    buildValidator: () => () => () => true,
    buildSerializer: () => () => (data: object) => viewText(data) ?? JSON.stringify(data),
  },
  // Its types want what Ajv makes.
} as unknown as FastifyServerOptions['schemaController']

/** Every operation of the protocol. */
export const registerRoutes = (app: FastifyInstance, services: Services): void => {
  const register = createRegister(app, services)
  registerAuth(register, services)
  registerOidc(register, services)
  registerUsers(register, services)
  registerKeys(register, services)
  registerWorkspaces(register, services)
  registerFiles(register, services)
  registerSessions(register, services)
  registerShares(register, services)
  registerApprovals(register, services)
  registerAudit(register, services)
  registerQuotas(register, services)
  registerLimits(register, services)
  registerCredentials(register, services)
  registerUsage(register, services)
  registerBudgets(register, services)
  registerHealth(register, services)
}
