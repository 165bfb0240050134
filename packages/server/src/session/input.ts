import type { ContentBlock, Decision, FailureCode, PermissionMode } from '@aicm/protocol'
import type { AgentOutput } from '../claude/output.ts'
import type { Exit } from '../process/exit-status.ts'
import type { SessionRecord } from '../storage/session-store.ts'

/** Everything that can happen to a session. */
export type Input =
  /** It was created: give it a process. */
  | { type: 'start' }
  | { type: 'execute'; turnId: string; content: ContentBlock[]; userId: string }
  | { type: 'interrupt' }
  | { type: 'answer'; approvalId: string; decision: Decision; userId: string }
  | { type: 'update'; name?: string; model?: string; permissionMode?: PermissionMode }
  | { type: 'close'; reason: string }
  /** claude said something. */
  | { type: 'output'; generation: number; output: Exclude<AgentOutput, { kind: 'delta' }> }
  /** Its process is there, started with these settings: what is written to it now claude reads when it has loaded. */
  | { type: 'launched'; generation: number; settings: Pick<SessionRecord, 'model' | 'permissionMode'> }
  | { type: 'launch.failed'; generation: number; message: string; code?: FailureCode }
  /** What its conversation looks like before it is resumed. */
  | { type: 'found'; generation: number; openTools: string[]; repairs: { text: string; backup: string | null }[] }
  /** There is no room for its process yet. */
  | { type: 'launch.waiting'; generation: number; text: string }
  /** The time has come until which the model API would take nothing. */
  | { type: 'limit.over'; until: number }
  /** Its user may do nothing more for now: has stored too much, or was disabled. */
  | { type: 'halt'; code: 'quota_exceeded' | 'account_disabled'; message: string }
  /** A watchdog: the process runs, and has not said for so long that it takes prompts. */
  | { type: 'start.timeout'; generation: number; afterMs: number }
  /** A watchdog: a turn runs, and nothing was heard of it for so long. */
  | { type: 'turn.silent'; generation: number; turnId: string; forMs: number }
  /** A watchdog: claude has said that it is idle, and not how the turn ended. */
  | { type: 'result.missing'; generation: number; turnId: string }
  /** A watchdog: asked to end, it did not, and was killed. */
  | { type: 'stop.ignored'; generation: number; afterMs: number }
  /** A watchdog: a resting process gave no sign of life when it was asked for one. `lost`: it is given up. */
  | { type: 'unresponsive'; generation: number; forMs: number; lost: boolean }
  /** Its process is not needed now: the next prompt starts another. */
  | { type: 'hibernate'; generation: number }
  /** The server ends and takes its processes along: the next one starts what was at work again. */
  | { type: 'suspend'; generation: number }
  | { type: 'process.exited'; generation: number; exit: Exit; stderr: string }
  /** A new server has taken the session over, and has read all that its process had said. */
  | { type: 'adopted'; alive: boolean }

/** What is to be done after the events of a step are on disk. */
export type Effect =
  | { type: 'launch'; generation: number; delayMs: number }
  | { type: 'stop'; generation: number }
  /** It was closed, and nobody had asked for that: say so to who looks after the server. */
  | { type: 'report-closed'; code: FailureCode }
  | { type: 'initialize' }
  | { type: 'prompt'; turnId: string; promptId: string }
  | { type: 'interrupt' }
  /** Say `limit.over` at that time (milliseconds since 1970). */
  | { type: 'wake'; at: number }
  /** Look after a while whether the result has come. */
  | { type: 'watch-result'; generation: number; turnId: string }
  | { type: 'answer'; approvalId: string }
  | { type: 'refuse'; requestId: string; subtype: string }
  | { type: 'set-model'; model: string }
  | { type: 'set-permission-mode'; mode: PermissionMode }
