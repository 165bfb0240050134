import type { Client } from '@aicm/client'
import { routes, type AuditEntry, type Input } from '@aicm/protocol'

const pageSize = 1000

/** Pages of the audit log, until its end. */
export async function* auditPages(
  client: Client,
  query: Omit<Input<typeof routes.audit.list>['query'], 'limit'>,
): AsyncGenerator<AuditEntry[], void, void> {
  let cursor: number | undefined
  do {
    const from = cursor === undefined ? {} : query.order === 'newest' ? { before: cursor } : { after: cursor }
    const { entries, next } = await client.call(routes.audit.list, { query: { ...query, ...from, limit: pageSize } })
    yield entries
    cursor = next ?? undefined
  } while (cursor !== undefined)
}
