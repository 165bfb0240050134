import type { CreateSession } from '@aicm/protocol'
import type { SessionState } from '../storage/session-store.ts'

/** A session's state before anything has happened to it. `claudeSessionId` is a new UUID: its conversation gets that name. */
export const initialState = (
  claudeSessionId: string,
  { recovery, budget, limits }: Pick<CreateSession, 'recovery' | 'budget' | 'limits'> = {},
): SessionState => ({
  status: 'creating',
  reason: null,
  generation: 0,
  process: 'none',
  claudeSessionId,
  resumable: false,
  turn: null,
  queue: [],
  approvals: [],
  failures: 0,
  announced: null,
  turns: 0,
  usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
  costUsd: 0,
  processCostUsd: 0,
  ...(recovery === undefined ? {} : { recovery }),
  ...(budget === undefined ? {} : { budget }),
  ...(limits === undefined ? {} : { limits }),
})
