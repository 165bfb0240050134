import { Type, type Static } from 'typebox'
import { BlockId, message, ParentToolUseId, Partial } from './base.ts'

/** A whole block of the answer's text (Markdown). */
export const TextMessage = message('text', {
  block: BlockId,
  text: Type.String(),
  parentToolUseId: ParentToolUseId,
  partial: Partial,
})
export type TextMessage = Static<typeof TextMessage>
