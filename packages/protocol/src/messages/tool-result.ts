import { Type, type Static } from 'typebox'
import { message, ParentToolUseId } from './base.ts'

/** What a tool answered. `content` is a string or a list of content blocks, as the tool gave it. */
export const ToolResultMessage = message('tool_result', {
  toolUseId: Type.String(),
  content: Type.Unknown(),
  isError: Type.Boolean(),
  parentToolUseId: ParentToolUseId,
})
export type ToolResultMessage = Static<typeof ToolResultMessage>
