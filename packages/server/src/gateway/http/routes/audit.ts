import { Readable } from 'node:stream'
import { auditCsvHead, auditCsvLine, routes, type AuditEntry } from '@aicm/protocol'
import { checkChain } from '../../../audit/check.ts'
import { isoTime } from '../../../lib/clock.ts'
import type { AuditFilter } from '../../../storage/audit-store.ts'
import type { Services } from '../../services.ts'
import { recordAct } from '../audit.ts'
import { streamed, type Register } from '../register.ts'

/** Entries read at once for an export: the event loop stands still for them. */
const chunk = 500

/** Times as the log has them: `…:00Z` is the beginning of that second. */
const normal = <F extends { from?: string; to?: string }>({ from, to, ...rest }: F) => ({
  ...rest,
  ...(from !== undefined && { from: isoTime(Date.parse(from)) }),
  ...(to !== undefined && { to: isoTime(Date.parse(to)) }),
})

export const registerAudit = (register: Register, services: Services): void => {
  const { audit } = services.database

  register(routes.audit.list, async ({ query }) => {
    const { limit = 100, ...filter } = normal(query)
    const entries = await audit.read({ ...filter, limit: limit + 1 })
    const page = entries.slice(0, limit)
    return { entries: page, next: entries.length > limit ? (page.at(-1)?.seq ?? null) : null }
  })

  async function* entriesOf(filter: Omit<AuditFilter, 'limit'>): AsyncGenerator<AuditEntry[], void, void> {
    // What comes meanwhile, this export itself among it, is not part of it.
    const { seq } = await audit.readHead()
    const before = Math.min(filter.before ?? Infinity, seq + 1)
    let after = filter.after
    while (true) {
      const entries = await audit.read({ ...filter, after, before, limit: chunk })
      yield entries
      if (entries.length < chunk) return
      after = entries.at(-1)?.seq
    }
  }

  register(routes.audit.export, async ({ query, request, reply }) => {
    const { format = 'ndjson', ...filter } = normal(query)
    const csv = format === 'csv'
    async function* text(): AsyncGenerator<string, void, void> {
      if (csv) yield auditCsvHead
      for await (const entries of entriesOf(filter))
        yield entries.map(csv ? auditCsvLine : (entry) => `${JSON.stringify(entry)}\n`).join('')
    }
    await recordAct(services, 'audit.export', { request, answer: undefined })
    void reply
      .type(csv ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
      .header('content-disposition', `attachment; filename="audit.${format}"`)
      .send(Readable.from(text()))
    return streamed
  })

  register(routes.audit.head, async () => ({
    ...(await audit.readHead()),
    anchor: (await services.audit.anchor()) ?? null,
  }))

  register(routes.audit.verify, ({ query }) =>
    checkChain(audit, { after: query.after ?? 0, limit: query.limit ?? 10_000 }),
  )
}
