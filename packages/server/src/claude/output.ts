import type { Delta, Message, Usage } from '@aicm/protocol'

type WithoutPosition<M> = M extends unknown ? Omit<M, 'seq' | 'time' | 'turnId'> : never

/** A message before it has a place in the log. */
export type Draft = WithoutPosition<Message>

export type BlockDelta = Pick<Delta, 'block' | 'kind' | 'at' | 'text' | 'name' | 'parentToolUseId'> & {
  toolUseId?: string
}

/** What claude says, in our words: the rest of the server knows nothing of its wire format. */
export type AgentOutput =
  | { kind: 'delta'; delta: BlockDelta }
  | { kind: 'message'; draft: Draft }
  /** It has answered `initialize`: it takes prompts. */
  | { kind: 'ready' }
  /** It has answered the `ping` with this id: it is alive. */
  | { kind: 'pong'; requestId: string }
  /** It names its conversation, and what it runs with. Repeated with each turn. */
  | {
      kind: 'conversation'
      claudeSessionId: string
      model?: string
      permissionMode?: string
      claudeVersion?: string
      cwd?: string
      tools?: string[]
    }
  /** So much in a row was no message that it must have gone mad. Told once. */
  | { kind: 'garbage'; lines: number; bytes: number }
  /** The model API takes no more of this user's calls until then (milliseconds since 1970). */
  | { kind: 'limited'; until: number }
  /** It has nothing more to do. Said after each result. */
  | { kind: 'idle' }
  | { kind: 'prompt'; turnId: string; state: 'queued' | 'started' | 'completed' | 'cancelled' }
  | { kind: 'permission'; requestId: string; toolUseId: string; tool: string; input: unknown; suggestions: unknown[] }
  | { kind: 'permission-withdrawn'; requestId: string }
  /** It asks for something that this server does not offer; it must be told so, or it waits for ever. */
  | { kind: 'unsupported-request'; requestId: string; subtype: string }
  | { kind: 'result'; result: TurnResult }

export type TurnResult = {
  outcome: 'success' | 'error' | 'interrupted'
  reason: string
  text?: string
  usage: Usage
  /** Of the process since its start, not of the turn. */
  totalCostUsd: number
  durationMs: number
  apiDurationMs: number
  numTurns: number
}
