import { routes, type Approval } from '@aicm/protocol'
import { answerApproval, viewApproval } from '../../approvals.ts'
import { sessionOf } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerApprovals = (register: Register, services: Services): void => {
  register(routes.approvals.list, async ({ user, query }): Promise<{ approvals: Approval[] }> => {
    if (query.sessionId !== undefined) await sessionOf(services, user, query.sessionId, routes.approvals.list.auth)
    const pending = await services.database.approvals.listPending({ userId: user.id, sessionId: query.sessionId })
    return { approvals: pending.map(viewApproval) }
  })
  register(routes.approvals.answer, ({ user, params, body }) => answerApproval(services, user, params.id, body))
}
