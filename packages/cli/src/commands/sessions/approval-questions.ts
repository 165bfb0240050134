import { approvalQuestion, type Client } from '@aicm/client'
import type { ApprovalMessage, Decision } from '@aicm/protocol'
import type { Context } from '../../context.ts'
import { inertLine } from '../../inert.ts'

/**
 * The open permission requests of a session, asked one after the other. Whatever another client answers is
 * withdrawn here.
 */
export type ApprovalQuestions = {
  /** Takes note of a request, or of what became of one. */
  see(message: ApprovalMessage): void
  /** From now on questions are put; before, what is old may turn out to be answered. */
  start(): void
  /** Gives a typed line to the question that is open; false when there is none, and the line is free for other use. */
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

export const createApprovalQuestions = ({
  context,
  client,
  interactive,
  note,
  started,
}: QuestionsOptions): ApprovalQuestions => {
  const open = new Map<string, ApprovalMessage>()
  let asked: string | undefined

  const describe = (approval: ApprovalMessage) => inertLine(approvalQuestion(approval))

  const announce = (approval: ApprovalMessage) => {
    const title = context.err.style.yellow(`Waiting for an approval: ${describe(approval)}`)
    note(`${title}\nAnswer it with: aicm approve ${approval.approvalId} [--deny]`)
  }

  const askNext = () => {
    const [next] = open.values()
    if (next === undefined || asked === next.approvalId) return
    asked = next.approvalId
    const choices = `[y]es / [n]o${next.canRemember ? ' / [a]lways' : ''}`
    note(`${context.err.style.yellow(describe(next))} ${choices}`)
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
      if (!started) return
      if (interactive) askNext()
      else if (message.state === 'pending') announce(message)
    },
    start: () => {
      if (started) return
      started = true
      if (interactive) askNext()
      else for (const approval of open.values()) announce(approval)
    },
    answer: (line) => {
      const approval = open.get(asked ?? '')
      if (approval === undefined) return false
      const decision = decisions.get(line.trim().toLowerCase())
      if (decision === undefined) {
        note('Please answer y, n or a.')
        return true
      }
      open.delete(approval.approvalId)
      const { remember, ...once } = decision
      void decide(approval, remember === true && approval.canRemember ? decision : once)
      askNext()
      return true
    },
  }
}

const allow: Decision = { decision: 'allow' }
const deny: Decision = { decision: 'deny' }
const always: Decision = { decision: 'allow', remember: true }
const decisions = new Map([
  ['y', allow],
  ['yes', allow],
  ['n', deny],
  ['no', deny],
  ['a', always],
  ['always', always],
])
