export { AicmError, type AicmErrorCode } from './aicm-error.ts'
export type { Call, CallOptions, FileContent } from './call.ts'
export { createClient, type Client } from './client.ts'
export type { ConnectionState, ConnectionStatus } from './connection.ts'
export type { ExecuteOptions, Execution, Prompt } from './execution.ts'
export type { Files } from './files.ts'
export type { Handler, HandlerOptions, HandlerType } from './handlers.ts'
export { login, type LoginOptions } from './login.ts'
export type { ClientOptions, QueueLimits, Timing, WebSocketLike } from './options.ts'
export type { RunOptions, RunResult } from './run-once.ts'
export type { EventsOptions, SessionHandle } from './session.ts'
export { storedTokens, type StoredTokens, type TokenStore } from './tokens.ts'
export { approvalQuestion, toolSummary } from './tool-summary.ts'
export {
  applyItem,
  applyItems,
  blocksOf,
  emptyTranscript,
  toolResultText,
  type OpenBlock,
  type SettledBlock,
  type Transcript,
  type TranscriptBlock,
} from './transcript.ts'
export { randomUuid } from './uuid.ts'
