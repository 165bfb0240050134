import { routes, type Approval } from '@aicm/protocol'
import { answerApproval, viewApproval } from '../../approvals.ts'
import { sessionOf } from '../../access.ts'
import { drivenSessionsThatAsk } from '../../shared-views.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

export const registerApprovals = (register: Register, services: Services): void => {
  const { approvals } = services.database
  register(routes.approvals.list, async ({ user, query }): Promise<{ approvals: Approval[] }> => {
    if (query.sessionId !== undefined) {
      const session = await sessionOf(services, user, query.sessionId, routes.approvals.list.auth)
      const { userId } = session.record()
      return { approvals: (await approvals.listPending({ userId, sessionId: query.sessionId })).map(viewApproval) }
    }
    const own = await approvals.listPending({ userId: user.id })
    const driven = await drivenSessionsThatAsk(services, user)
    const others = await Promise.all(driven.map(({ userId, id }) => approvals.listPending({ userId, sessionId: id })))
    const pending = [...own, ...others.flat()].sort((a, b) => (a.id < b.id ? -1 : 1))
    return { approvals: pending.map(viewApproval) }
  })
  register(routes.approvals.answer, ({ user, params, body }) => answerApproval(services, user, params.id, body))
}
