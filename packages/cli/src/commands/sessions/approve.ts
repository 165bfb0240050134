import { toolSummary } from '@aicm/client'
import type { Decision } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findApproval } from '../../find.ts'
import { inertLine } from '../../inert.ts'
import { ago, table } from '../../table.ts'

type ApproveFlags = { deny?: boolean; message?: string; remember?: boolean }

export const approve = async (context: Context, given: string | undefined, flags: ApproveFlags): Promise<ExitCode> => {
  const decision = decisionOf(flags)
  if (given === undefined) {
    if (Object.keys(flags).length > 0)
      throw usageError('Which approval?', 'aicm approve <id>; without flags it lists the open ones.')
    return list(context)
  }
  const client = await context.client()
  const approval = await client.approvals.answer(await findApproval(client, given), decision)
  if (context.json) context.out.json(approval)
  else context.out.print(`${approval.state}: ${inertLine(approval.tool)}: ${inertLine(toolSummary(approval.input))}`)
  return exitCodes.ok
}

const decisionOf = ({ deny, message, remember }: ApproveFlags): Decision => {
  if (deny === true) {
    if (remember === true) throw usageError('--remember goes with allowing, not with --deny.')
    return { decision: 'deny', ...(message === undefined ? {} : { message }) }
  }
  if (message !== undefined) throw usageError('--message goes with --deny.')
  return { decision: 'allow', ...(remember === true ? { remember } : {}) }
}

const list = async (context: Context): Promise<ExitCode> => {
  const approvals = await (await context.client()).approvals.list()
  if (context.json) context.out.json(approvals)
  else if (approvals.length === 0) context.err.print('No open approvals.')
  else {
    const rows = approvals.map((approval) => [
      approval.id,
      approval.sessionId,
      ago(approval.createdAt),
      approval.tool,
      toolSummary(approval.input, 80),
    ])
    context.out.print(table(['ID', 'SESSION', 'ASKED', 'TOOL', 'INPUT'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}
