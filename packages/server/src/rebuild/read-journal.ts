import { join } from 'node:path'
import { createDecoder } from '../claude/decode.ts'
import type { AgentOutput } from '../claude/output.ts'
import type { Said } from '../claude/read-transcript.ts'
import { unreachable } from '../lib/unreachable.ts'
import { followJournal } from '../process/journal.ts'
import { processFiles } from '../process/session-process.ts'
import type { OpenApproval } from '../storage/session-store.ts'

/** What a process has said so far, and where that leaves its session. */
export type JournalTelling = {
  said: Said[]
  conversation: Extract<AgentOutput, { kind: 'conversation' }> | undefined
  ready: boolean
  /** The prompt it works on. */
  running: { id: string; openTools: string[] } | undefined
  approvals: Omit<OpenApproval, 'approvalId' | 'answer'>[]
  /** Byte offset behind its last whole line. */
  end: number
}

const told = new Set(['text', 'thinking', 'tool_use', 'tool_result'])

/** Reads the journal in a generation's folder up to byte `to`. Rejects when there is none. */
export const readJournal = async (sessionDir: string, generation: number, to = Infinity): Promise<JournalTelling> => {
  const telling: JournalTelling = {
    said: [],
    conversation: undefined,
    ready: false,
    running: undefined,
    approvals: [],
    end: 0,
  }
  const decoder = createDecoder({ generation })

  const take = (output: AgentOutput): void => {
    switch (output.kind) {
      case 'conversation':
        telling.conversation = output
        return
      case 'ready':
        telling.ready = true
        return
      case 'prompt':
        if (output.state === 'started') {
          telling.ready = true
          telling.running = { id: output.turnId, openTools: [] }
          // It does not say what it was asked: the transcript may.
          const content = [{ type: 'text' as const, text: '(The text of this prompt is lost.)' }]
          telling.said.push({ draft: { type: 'prompt', content, userId: '' }, turnId: output.turnId, time: undefined })
        } else if (output.state !== 'queued') telling.running = undefined
        return
      case 'permission': {
        const { kind: _, ...request } = output
        telling.approvals.push(request)
        return
      }
      case 'permission-withdrawn':
        telling.approvals = telling.approvals.filter(({ requestId }) => requestId !== output.requestId)
        return
      case 'message': {
        const { draft } = output
        if (told.has(draft.type)) telling.said.push({ draft, turnId: telling.running?.id, time: undefined })
        if (draft.type === 'tool_use') telling.running?.openTools.push(draft.toolUseId)
        if (draft.type !== 'tool_result') return
        telling.approvals = telling.approvals.filter(({ toolUseId }) => toolUseId !== draft.toolUseId)
        if (telling.running !== undefined)
          telling.running.openTools = telling.running.openTools.filter((id) => id !== draft.toolUseId)
        return
      }
      case 'result': {
        const { outcome, totalCostUsd: _, ...result } = output.result
        if (telling.running !== undefined)
          telling.said.push({
            draft: { type: 'complete', result: outcome, ...result },
            turnId: telling.running.id,
            time: undefined,
          })
        telling.running = undefined
        telling.approvals = []
        return
      }
      case 'delta':
      case 'idle':
      case 'pong':
      case 'garbage':
      case 'limited':
      case 'unsupported-request':
        return
      default:
        unreachable(output)
    }
  }

  const { stdout } = processFiles(join(sessionDir, String(generation)))
  for await (const lines of followJournal({ path: stdout, from: 0, ended: AbortSignal.abort() }))
    for (const line of lines) {
      if (line.end > to) return telling
      for (const output of decoder.decode(line)) take(output)
      telling.end = line.end
    }
  return telling
}
