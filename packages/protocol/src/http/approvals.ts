import { Type, type Static } from 'typebox'
import { ApprovalId, SessionId, Time, TurnId } from '../ids.ts'
import { ApprovalState } from '../messages/approval.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

export const Approval = Type.Object({
  id: ApprovalId,
  sessionId: SessionId,
  turnId: Type.Union([TurnId, Type.Null()]),
  tool: Type.String(),
  toolUseId: Type.String(),
  input: Type.Unknown(),
  canRemember: Type.Boolean(),
  state: ApprovalState,
  createdAt: Time,
})
export type Approval = Static<typeof Approval>

/** An answer to a tool's permission request. `remember` also allows the like of it for the rest of the session. */
export const Decision = strict({
  decision: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
  message: Type.Optional(Type.String({ maxLength: 10_000, description: 'Told to the model with a denial' })),
  updatedInput: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), { description: 'Run the tool with this input instead' }),
  ),
  remember: Type.Optional(Type.Boolean()),
})
export type Decision = Static<typeof Decision>

export const approvalRoutes = {
  list: route({
    id: 'listApprovals',
    method: 'GET',
    path: '/v1/approvals',
    summary: 'Open permission requests of your sessions, and of those you may drive',
    tag: 'approvals',
    auth: 'sessions.read',
    query: strict({ sessionId: Type.Optional(SessionId) }),
    status: 200,
    response: Type.Object({ approvals: Type.Array(Approval) }),
  }),
  answer: route({
    id: 'answerApproval',
    method: 'POST',
    path: '/v1/approvals/:id',
    summary: 'Allow or deny a tool call',
    description: 'The first answer counts; later ones are refused with approval_already_answered.',
    tag: 'approvals',
    auth: 'approvals.write',
    params: strict({ id: ApprovalId }),
    body: Decision,
    status: 200,
    response: Approval,
  }),
} as const
