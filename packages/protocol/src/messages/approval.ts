import { Type, type Static } from 'typebox'
import { ApprovalId } from '../ids.ts'
import { message } from './base.ts'

export const ApprovalState = Type.Union([
  Type.Literal('pending'),
  Type.Literal('allowed'),
  Type.Literal('denied'),
  Type.Literal('withdrawn'),
])
export type ApprovalState = Static<typeof ApprovalState>

/**
 * The tool of an approval that the session asks for itself: whether claude shall go on with a turn that was cut off. Its input is
 * `{question}`, in words for people.
 */
export const continueTool = 'continue_turn'

/** A tool asks for permission (`pending`), and later what became of it. It waits without a time limit. */
export const ApprovalMessage = message('approval', {
  approvalId: ApprovalId,
  state: ApprovalState,
  toolUseId: Type.String(),
  tool: Type.String(),
  input: Type.Unknown(),
  canRemember: Type.Boolean({ description: 'Whether `remember` would have an effect' }),
  decidedBy: Type.Optional(Type.String({ description: 'User id' })),
  message: Type.Optional(Type.String({ description: 'The reason given with a denial, or for a withdrawal' })),
})
export type ApprovalMessage = Static<typeof ApprovalMessage>
