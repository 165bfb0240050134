import type { Client } from '@aicm/client'
import type { Resources, Session } from '@aicm/protocol'
import { bytesText } from '../../amounts.ts'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { listSessions } from '../../find.ts'
import { table } from '../../table.ts'

/** What the sessions that have a process take of the machine just now, those first that take most of its memory. */
export const top = async (context: Context): Promise<ExitCode> => {
  const client = await context.client()
  const live = (await listSessions(client)).filter(({ process }) => process !== 'none')
  const sessions = (await Promise.all(live.map((session) => withResources(client, session)))).flat()
  sessions.sort((one, other) => (other.resources.memoryBytes ?? 0) - (one.resources.memoryBytes ?? 0))
  if (context.json) context.out.json(sessions)
  else if (sessions.length === 0) context.err.print('No session has a process just now. See: aicm sessions ls')
  else {
    const rows = sessions.map(({ id, status, name, resources: { limits, ...now } }) => [
      id,
      status,
      now.memoryBytes === null ? '-' : bytesText(now.memoryBytes),
      limits.memory === null ? 'off' : bytesText(limits.memory),
      now.cpuSeconds === null ? '-' : `${now.cpuSeconds.toFixed(1)} s`,
      `${now.tasks ?? '-'}`,
      name,
    ])
    const head = ['ID', 'STATUS', 'MEMORY', 'AT MOST', 'CPU TIME', 'TASKS', 'NAME']
    context.out.print(table(head, rows, context.out.style.bold))
  }
  return exitCodes.ok
}

/** Nothing for one that was deleted since it was listed. */
const withResources = async (client: Client, session: Session): Promise<(Session & { resources: Resources })[]> => {
  try {
    return [{ ...session, resources: await client.session(session.id).resources() }]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'session_not_found') return []
    throw error
  }
}
