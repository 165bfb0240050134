import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'

export const logout = async (context: Context): Promise<ExitCode> => {
  const server = await context.server()
  await (await context.client()).logout()
  if (context.json) context.out.json({ server, loggedOut: true })
  else context.out.print(`Logged out of ${server}.`)
  return exitCodes.ok
}
