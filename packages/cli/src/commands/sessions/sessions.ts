import type { Resources, Session, SessionStatus } from '@aicm/protocol'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession, findWorkspace, listSessions } from '../../find.ts'
import { ago, fields, table } from '../../table.ts'

type ListFlags = { status?: SessionStatus; workspace?: string; limit: number }

export const listAll = async (context: Context, { status, workspace, limit }: ListFlags): Promise<ExitCode> => {
  const client = await context.client()
  const place = workspace === undefined ? {} : { workspaceId: (await findWorkspace(client, workspace)).id }
  const [sessions, workspaces] = await Promise.all([
    listSessions(client, { ...place, ...(status === undefined ? {} : { status }) }, limit),
    // Their names only: an API key may see sessions without them.
    context.json ? [] : client.workspaces.list().catch(() => []),
  ])
  if (context.json) {
    context.out.json(sessions)
    return exitCodes.ok
  }
  if (sessions.length === 0) {
    context.err.print('No sessions. Start one: aicm run --keep "your prompt"')
    return exitCodes.ok
  }
  const names = new Map(workspaces.map(({ id, name }) => [id, name]))
  const rows = sessions.map((session) => [
    session.id,
    statusText(session),
    ago(session.updatedAt),
    names.get(session.workspaceId) ?? session.workspaceId,
    session.owner === null ? session.name : `${session.name} (shared by ${session.owner.username})`,
  ])
  context.out.print(table(['ID', 'STATUS', 'CHANGED', 'WORKSPACE', 'NAME'], rows, context.out.style.bold))
  return exitCodes.ok
}

const statusText = ({ status, queued, awaiting }: Session): string =>
  [status, queued > 0 ? `+${queued} queued` : '', awaiting > 0 ? 'needs approval' : '']
    .filter((part) => part !== '')
    .join(', ')

export const show = async (context: Context, given: string): Promise<ExitCode> => {
  const client = await context.client()
  const session = await findSession(client, given)
  const resources = await client.session(session.id).resources()
  if (context.json) {
    context.out.json({ ...session, resources })
    return exitCodes.ok
  }
  const { usage } = session
  context.out.print(
    fields([
      ['id', session.id],
      ['name', session.name],
      ...(session.owner === null
        ? []
        : [['owner', `${session.owner.username}; you are a ${session.owner.access}`] satisfies [string, string]]),
      ['status', statusText(session) + (session.reason === null ? '' : ` (${session.reason})`)],
      ['process', `${session.process}, the ${ordinal(session.generation)} of this session`],
      ['workspace', session.workspaceId],
      ['model', session.model ?? 'as claude chooses'],
      ['permission mode', session.permissionMode],
      [
        'turns',
        `${session.turns}${session.maxTurns === null ? '' : ` (model calls a turn: at most ${session.maxTurns})`}`,
      ],
      ['tokens', `${usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} in, ${usage.outputTokens} out`],
      ['cost', `$${session.costUsd.toFixed(4)}`],
      ...resourceFields(resources),
      ['created', session.createdAt],
      ['changed', session.updatedAt],
    ]),
  )
  return exitCodes.ok
}

const resourceFields = ({ limits, ...now }: Resources): [string, string][] => {
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MB`
  const most = (limit: string | number | null): string => (limit === null ? 'no limit' : `at most ${limit}`)
  const parts = (...texts: (string | false)[]): string => texts.filter((text) => text !== false).join(', ')
  return [
    [
      'memory',
      parts(
        now.memoryBytes !== null && megabytes(now.memoryBytes),
        now.memoryPeakBytes !== null && `once ${megabytes(now.memoryPeakBytes)}`,
        most(limits.memory === null ? null : megabytes(limits.memory)),
        (now.oomKills ?? 0) > 0 && `${now.oomKills} ended for lack of it`,
      ),
    ],
    [
      'CPU',
      parts(
        now.cpuSeconds !== null && `${now.cpuSeconds.toFixed(1)} s`,
        most(limits.cpus === null ? null : `${limits.cpus} at a time`),
        (now.throttledPeriods ?? 0) > 0 && `held back ${now.throttledPeriods} times`,
      ),
    ],
    ['processes', parts(now.tasks !== null && `${now.tasks} with threads`, most(limits.pids))],
  ]
}

const ordinal = (number: number): string => {
  const rules: Record<string, string> = { one: 'st', two: 'nd', few: 'rd' }
  return `${number}${rules[new Intl.PluralRules('en', { type: 'ordinal' }).select(number)] ?? 'th'}`
}

export const remove = async (context: Context, given: string[]): Promise<ExitCode> => {
  const client = await context.client()
  // All are found before the first is deleted: a mistyped one stops everything.
  const found = await Promise.all(given.map((one) => findSession(client, one)))
  for (const id of new Set(found.map((session) => session.id))) {
    await client.sessions.delete(id)
    if (context.json) context.out.json({ deleted: id })
    else context.out.print(`Deleted ${id}.`)
  }
  return exitCodes.ok
}
