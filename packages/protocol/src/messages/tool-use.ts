import { Type, type Static } from 'typebox'
import { BlockId, message, ParentToolUseId, Partial } from './base.ts'

/** The model calls a tool. Its input streams as deltas of JSON text in `block` before this message. */
export const ToolUseMessage = message('tool_use', {
  block: BlockId,
  toolUseId: Type.String(),
  name: Type.String(),
  input: Type.Unknown({ description: 'What the tool was called with; the JSON text so far when partial' }),
  parentToolUseId: ParentToolUseId,
  partial: Partial,
})
export type ToolUseMessage = Static<typeof ToolUseMessage>
