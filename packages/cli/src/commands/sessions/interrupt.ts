import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession } from '../../find.ts'

export const interrupt = async (context: Context, given: string): Promise<ExitCode> => {
  const client = await context.client()
  const { id } = await findSession(client, given)
  const { turnId } = await client.session(id).interrupt()
  if (context.json) context.out.json({ sessionId: id, turnId })
  else context.out.print(`Interrupted turn ${turnId} of ${id}.`)
  return exitCodes.ok
}
