import type { Budget } from './budget-store.ts'
import type { FailureCode, PermissionMode, RecoverySettings, SessionLimits, SessionStatus, Usage } from '@aicm/protocol'

/** Where in which journal a session's newest stored message came from: byte offset after its line. */
export type Source = { generation: number; offset: number }

/** A prompt on its way through claude. Its content is in its `prompt` message. */
export type TurnState = {
  id: string
  /** What claude knows it by: the turn's id, or another UUID when a cut-off turn is continued. */
  promptId: string
  /** `waiting`: not given to a process. `sent`: written, not confirmed. `started`: claude works on it. */
  phase: 'waiting' | 'sent' | 'started'
  interrupt: 'none' | 'wanted' | 'sent'
  /** Somebody else than the session's owner prompted it. */
  guest?: true
  /** Tool calls that have no result yet. */
  openTools: string[]
  /** Of these nobody had allowed any when the last process ended. */
  notRun?: string[]
  /** The model API has refused it until then (milliseconds since 1970). */
  limitedUntil?: number
}

export type PermissionAnswer =
  | { behavior: 'allow'; updatedInput: unknown; updatedPermissions?: unknown[] }
  | { behavior: 'deny'; message: string }

/**
 * A permission request of claude's, or with `requestId` null one of the session's own: whether to go on with a turn. An answer stays here until claude has acted on it: it can be given again after a
 * crash.
 */
export type OpenApproval = {
  approvalId: string
  requestId: string | null
  toolUseId: string
  tool: string
  input: unknown
  suggestions: unknown[]
  answer: PermissionAnswer | null
}

/** The part of the state machine that must survive the server. It is stored in the transaction of the events that changed it. */
export type SessionState = {
  status: SessionStatus
  reason: string | null
  /** The newest process of this session; 0 before the first. */
  generation: number
  /** `starting` until it is there, `loading` until claude has said that it takes prompts. */
  process: 'none' | 'starting' | 'loading' | 'ready' | 'stopping'
  /** claude's own id of the conversation: chosen by us, and renamed when claude says so. */
  claudeSessionId: string
  /** Whether there is a conversation to resume. */
  resumable: boolean
  turn: TurnState | null
  /** Turn ids of prompts that wait, oldest first. */
  queue: string[]
  /** Those of the queue that somebody else than the owner prompted. */
  guests?: string[]
  /** Whether claude was given such a prompt last: what it does then, also behind the turn, no subscription pays for. */
  guest?: boolean
  approvals: OpenApproval[]
  /** Processes that ended by themselves since the last turn that was finished. */
  failures: number
  /** The last `metadata` that was told, to tell it only when it changes. */
  announced: string | null
  turns: number
  usage: Usage
  costUsd: number
  /** Why this server ends the process, where that is a failure of the process's own. */
  ending?: { code: FailureCode; message: string }
  /** The process was given a prompt that was taken back before it had loaded: nothing that it still says is heard. */
  muted?: true
  /** Where this session differs from the server's settings. */
  recovery?: RecoverySettings
  /** Nothing is given to claude until then (milliseconds since 1970): the model API would refuse it. */
  parkedUntil?: number
  /** What its model calls may cost altogether. */
  budget?: Budget
  /** Where it gives up something of its user's limits. */
  limits?: SessionLimits
  /** What the running process has reported as its total, to tell a turn's own cost. */
  processCostUsd: number
}

export type SessionRecord = {
  id: string
  userId: string
  workspaceId: string
  name: string
  model: string | null
  permissionMode: PermissionMode
  systemPrompt: string | null
  maxTurns: number | null
  /** Closes by itself when its first turn has ended. */
  oneShot: boolean
  state: SessionState
  lastSeq: number
  source: Source | null
  createdAt: number
  updatedAt: number
}

export type SessionFilter = {
  userId: string
  status?: SessionStatus
  workspaceId?: string
  /** Part of the name, case-insensitive. */
  text?: string
  /** Only sessions older than this id. */
  before?: string
  limit: number
}

/** Sessions' rows. What changes a session after its creation goes through EventStore.append. */
export type SessionStore = {
  create(record: SessionRecord): Promise<void>
  get(id: string): Promise<SessionRecord | undefined>
  /** Newest first. */
  list(filter: SessionFilter): Promise<SessionRecord[]>
  /** Every session that is not closed, for the start of the server. */
  listOpen(): Promise<SessionRecord[]>
  /** Sessions of a workspace that are not closed. */
  countOpen(workspaceId: string): Promise<number>
  /** The same of a user. */
  countOpenOf(userId: string): Promise<number>
  counts(): Promise<{ total: number; running: number }>
  /** Removes the session, its events and approvals. */
  delete(id: string): Promise<void>
}
