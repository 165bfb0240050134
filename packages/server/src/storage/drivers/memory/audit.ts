import { emptyAudit, type AuditEntry } from '@aicm/protocol'
import { checkAuditAppend } from '../../audit-checks.ts'
import type { AuditFilter, AuditStore } from '../../audit-store.ts'
import { copy } from './copy.ts'

const matches = (entry: AuditEntry, filter: AuditFilter): boolean =>
  entry.seq > (filter.after ?? 0) &&
  entry.seq < (filter.before ?? Infinity) &&
  (['userId', 'username', 'action', 'target', 'result'] as const).every(
    (name) => filter[name] === undefined || entry[name] === filter[name],
  ) &&
  entry.time >= (filter.from ?? '') &&
  (filter.to === undefined || entry.time <= filter.to)

export const createAudit = (): AuditStore => {
  const log: AuditEntry[] = []
  const head = () => log.at(-1) ?? emptyAudit
  return {
    append: async (append, onWritten) => {
      checkAuditAppend(append, head())
      log.push(...copy(append.entries))
      onWritten?.()
    },
    read: async (filter) => {
      const found = log.filter((entry) => matches(entry, filter))
      return copy((filter.order === 'newest' ? found.reverse() : found).slice(0, filter.limit))
    },
    readHead: async () => ({ seq: head().seq, hash: head().hash }),
  }
}
