import { Type, type Static } from 'typebox'
import { ApprovalMessage } from './messages/approval.ts'
import { CompleteMessage } from './messages/complete.ts'
import { ErrorMessage } from './messages/error.ts'
import { MetadataMessage } from './messages/metadata.ts'
import { ProgressMessage } from './messages/progress.ts'
import { PromptMessage } from './messages/prompt.ts'
import { StatusMessage } from './messages/status.ts'
import { SystemMessage } from './messages/system.ts'
import { TextMessage } from './messages/text.ts'
import { ThinkingMessage } from './messages/thinking.ts'
import { ToolResultMessage } from './messages/tool-result.ts'
import { ToolUseMessage } from './messages/tool-use.ts'

/** The twelve durable messages of a session's log, told apart by `type`. */
export const Message = Type.Union([
  TextMessage,
  ToolUseMessage,
  ErrorMessage,
  SystemMessage,
  MetadataMessage,
  StatusMessage,
  ProgressMessage,
  CompleteMessage,
  PromptMessage,
  ThinkingMessage,
  ToolResultMessage,
  ApprovalMessage,
])
export type Message = Static<typeof Message>
export type MessageType = Message['type']

export const messageTypes = [
  'text',
  'tool_use',
  'error',
  'system',
  'metadata',
  'status',
  'progress',
  'complete',
  'prompt',
  'thinking',
  'tool_result',
  'approval',
] as const satisfies readonly MessageType[]
