import type { ContentBlock, Decision, PermissionMode } from '@aicm/protocol'
import type { AgentOutput } from '../claude/output.ts'
import type { Exit } from '../process/exit-status.ts'

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
  | { type: 'launch.failed'; generation: number; message: string }
  /** A watchdog: the process runs, and has not said for so long that it takes prompts. */
  | { type: 'start.timeout'; generation: number; afterMs: number }
  | { type: 'process.exited'; generation: number; exit: Exit; stderr: string }
  /** A new server has taken the session over, and has read all that its process had said. */
  | { type: 'adopted'; alive: boolean }

/** What is to be done after the events of a step are on disk. */
export type Effect =
  | { type: 'launch'; generation: number; delayMs: number }
  | { type: 'stop'; generation: number }
  | { type: 'initialize' }
  | { type: 'prompt'; turnId: string; promptId: string }
  | { type: 'interrupt' }
  | { type: 'answer'; approvalId: string }
  | { type: 'refuse'; requestId: string; subtype: string }
  | { type: 'set-model'; model: string }
  | { type: 'set-permission-mode'; mode: PermissionMode }
