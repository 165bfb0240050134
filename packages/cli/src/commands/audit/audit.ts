import {
  auditCsvHead,
  auditCsvLine,
  formatAuditHead,
  routes,
  type AuditEntry,
  type AuditResult,
  type Input,
} from '@aicm/protocol'
import { auditPages } from './audit-pages.ts'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { inertJson } from '../../inert.ts'
import { table } from '../../table.ts'

type AuditFlags = {
  user?: string
  action?: string
  target?: string
  result?: AuditResult
  from?: string
  to?: string
  after?: number
}

type Query = Omit<Input<typeof routes.audit.list>['query'], 'order' | 'limit' | 'before'>

const timeOf = (flag: string, text: string): string => {
  const time = new Date(text)
  if (Number.isNaN(time.getTime()))
    throw usageError(`${flag} "${text}" is no time.`, 'It looks like 2026-03-01 or 2026-03-01T12:00:00Z.')
  return time.toISOString()
}

const queryOf = ({ user, from, to, ...same }: AuditFlags): Query => ({
  ...same,
  ...(user === undefined ? {} : /^usr_[0-9a-z]{26}$/.test(user) ? { userId: user } : { username: user }),
  ...(from === undefined ? {} : { from: timeOf('--from', from) }),
  ...(to === undefined ? {} : { to: timeOf('--to', to) }),
})

/** Who knows them finds the rest in the JSON. */
const detailText = ({ code, detail }: AuditEntry): string =>
  [
    ...(code === null ? [] : [code]),
    ...Object.entries(detail).map(([key, value]) => `${key}=${typeof value === 'string' ? value : inertJson(value)}`),
  ].join(' ')

/** The newest ones, and the newest last: as logs are read. */
export const list = async (
  context: Context,
  { limit, ...flags }: AuditFlags & { limit: number },
): Promise<ExitCode> => {
  const client = await context.client()
  const entries: AuditEntry[] = []
  const query = { ...queryOf(flags), order: 'newest' as const }
  for await (const page of auditPages(client, query)) {
    entries.push(...page.slice(0, limit - entries.length))
    if (entries.length >= limit) break
  }
  entries.reverse()
  if (context.json) context.out.json(entries)
  else if (entries.length === 0) context.err.print('No entries.')
  else {
    const rows = entries.map((entry) => [
      String(entry.seq),
      entry.time,
      entry.username ?? entry.userId ?? '-',
      entry.action,
      entry.target ?? '-',
      entry.result,
      entry.address ?? '-',
      detailText(entry),
    ])
    const head = ['SEQ', 'TIME', 'USER', 'ACTION', 'TARGET', 'RESULT', 'FROM', 'DETAIL']
    context.out.print(table(head, rows, context.out.style.bold))
  }
  return exitCodes.ok
}

const write = (context: Context, text: string): Promise<void> =>
  new Promise((resolve) => {
    // A reader that is gone is found out elsewhere.
    context.io.stdout.write(text, () => resolve())
  })

/** All that matches, oldest first, on stdout. */
export const exportAll = async (
  context: Context,
  { format, ...flags }: AuditFlags & { format: 'ndjson' | 'csv' },
): Promise<ExitCode> => {
  const client = await context.client()
  const { seq } = await client.call(routes.audit.head, {})
  const csv = format === 'csv'
  if (csv) await write(context, auditCsvHead)
  for await (const page of auditPages(client, { ...queryOf(flags), before: seq + 1 })) {
    await write(context, page.map(csv ? auditCsvLine : (entry) => `${inertJson(entry)}\n`).join(''))
    if (context.signal.aborted) break
  }
  return exitCodes.ok
}

/** To be written down where nobody who can change the server can change it. */
export const head = async (context: Context): Promise<ExitCode> => {
  const { seq, hash } = await (await context.client()).call(routes.audit.head, {})
  if (context.json) context.out.json({ seq, hash })
  else context.out.print(formatAuditHead({ seq, hash }))
  return exitCodes.ok
}
