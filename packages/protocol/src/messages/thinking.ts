import { Type, type Static } from 'typebox'
import { BlockId, message, ParentToolUseId, Partial } from './base.ts'

/** A whole block of the model's thinking, as far as the model shows it. */
export const ThinkingMessage = message('thinking', {
  block: BlockId,
  text: Type.String(),
  parentToolUseId: ParentToolUseId,
  partial: Partial,
})
export type ThinkingMessage = Static<typeof ThinkingMessage>
