import { Type, type Static } from 'typebox'
import { message } from './base.ts'

export const failureCodes = [
  'api_error',
  'auth_required',
  'rate_limited',
  'budget_exceeded',
  'subscription_owner_only',
  'overloaded',
  'quota_exceeded',
  'account_disabled',
  'prompt_too_long',
  'max_turns',
  'process_crashed',
  'out_of_memory',
  'file_size_limit',
  'disk_full',
  'start_failed',
  'start_timeout',
  'claude_missing',
  'workspace_missing',
  'turn_silent',
  'process_unresponsive',
  'protocol_garbage',
  'turn_cut_off',
  'claude_error',
] as const
export type FailureCode = (typeof failureCodes)[number]

/** Something failed while the agent worked. It is a fact of the log, not the refusal of a request. */
export const ErrorMessage = message('error', {
  code: Type.Enum(failureCodes),
  message: Type.String(),
  hint: Type.Optional(Type.String()),
  detail: Type.Optional(Type.Unknown()),
})
export type ErrorMessage = Static<typeof ErrorMessage>
