import { toolSummary, type Client } from '@aicm/client'
import type { ApprovalMessage, Decision } from '@aicm/protocol'
import type { Context } from './context.ts'
import { inertLine } from './inert.ts'

/**
 * The open permission requests of a session, asked one after the other. Whatever another client answers is
 * withdrawn here.
 */
export type ApprovalQuestions = {
  /** Takes note of a request, or of what became of one. */
  see(message: ApprovalMessage): void
  /** From now on questions are put; before, what is old may turn out to be answered. */
  start(): void
  /** Gives a typed line to the question that is open; false when there is none, or it is no answer. */
  answer(line: string): boolean
}

type QuestionsOptions = {
  context: Context
  client: Client
  /** Someone is there to answer. */
  interactive: boolean
  note: (text: string) => void
  started: boolean
}

export const createApprovalQuestions = ({ context, client, interactive, note, started }: QuestionsOptions): ApprovalQuestions => {
  const open = new Map<string, ApprovalMessage>()
  let asked: string | undefined

  const askNext = () => {
    const [next] = open.values()
    if (!started || next === undefined || asked === next.approvalId) return
    asked = next.approvalId
    const what = `${inertLine(next.tool)}: ${inertLine(toolSummary(next.input, 300))}`
    if (interactive) {
      const always = next.canRemember ? ' / [a]lways' : ''
      note(`${context.err.style.yellow(`Allow ${what}?`)} [y]es / [n]o${always}`)
      return
    }
    note(`${context.err.style.yellow(`Waiting for an approval: ${what}`)}\nAnswer it with: aicm approve ${next.approvalId} [--deny]`)
  }

  const decide = async (approval: ApprovalMessage, decision: Decision) => {
    try {
      await client.approvals.answer(approval.approvalId, decision)
    } catch (error) {
      // Answered elsewhere at the same moment, most likely: the stream tells what counts.
      note(context.err.style.dim(`  ${inertLine(error instanceof Error ? error.message : String(error))}`))
    }
  }

  return {
    see: (message) => {
      if (message.state === 'pending') open.set(message.approvalId, message)
      else open.delete(message.approvalId)
      // Nobody to answer here: each is announced once, not only the first.
      if (!interactive && message.state === 'pending') asked = undefined
      askNext()
    },
    start: () => {
      started = true
      askNext()
    },
    answer: (line) => {
      const approval = open.get(asked ?? '')
      if (approval === undefined) return false
      const decision = decisions[line.trim().toLowerCase()]
      if (decision === undefined) {
        note('Please answer y, n or a.')
        return false
      }
      open.delete(approval.approvalId)
      const { remember, ...once } = decision
      void decide(approval, remember === true && approval.canRemember ? decision : once)
      askNext()
      return true
    },
  }
}

const decisions: Record<string, Decision | undefined> = {
  y: { decision: 'allow' },
  yes: { decision: 'allow' },
  n: { decision: 'deny' },
  no: { decision: 'deny' },
  a: { decision: 'allow', remember: true },
  always: { decision: 'allow', remember: true },
}
