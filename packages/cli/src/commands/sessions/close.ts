import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession } from '../../find.ts'

export const close = async (context: Context, given: string): Promise<ExitCode> => {
  const client = await context.client()
  const { id } = await findSession(client, given)
  const session = await client.session(id).close()
  if (context.json) context.out.json(session)
  else context.out.print(`Closed ${id}.`)
  return exitCodes.ok
}
