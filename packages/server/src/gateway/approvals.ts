import type { Approval, Decision } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { isoTime } from '../lib/clock.ts'
import type { ApprovalRecord } from '../storage/approval-store.ts'
import { assertMay, sessionResource, type Caller } from './access.ts'
import type { Services } from './services.ts'

export const viewApproval = ({ userId: _, createdAt, ...record }: ApprovalRecord): Approval => ({
  ...record,
  createdAt: isoTime(createdAt),
})

/** The same for HTTP and WebSocket: the first answer counts. */
export const answerApproval = async (
  services: Services,
  user: Caller,
  id: string,
  decision: Decision,
): Promise<Approval> => {
  const { approvals } = services.database
  const record = await approvals.get(id)
  const unknown = () => new AppError('approval_not_found', `There is no permission request ${id}.`)
  if (record === undefined) throw unknown()
  const session = await services.registry.get(record.sessionId)
  assertMay(user, 'approvals.write', await sessionResource(services, user, session.record()), unknown)
  await session.answer({ approvalId: id, decision, userId: user.id })
  return viewApproval((await approvals.get(id)) ?? record)
}
