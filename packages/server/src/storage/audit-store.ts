import type { AuditEntry, AuditHead, AuditResult } from '@aicm/protocol'

export type AuditFilter = {
  /** Only entries behind this seq. */
  after?: number
  /** Only entries before this seq. */
  before?: number
  userId?: string
  username?: string
  action?: string
  target?: string
  result?: AuditResult
  /** ISO 8601, UTC, milliseconds; the bounds are part of it. */
  from?: string
  to?: string
  order?: 'oldest' | 'newest'
  limit: number
}

/** The audit log. Nothing here changes or removes an entry, and the drivers refuse whoever tries it another way. */
export type AuditStore = {
  /**
   * All or nothing, gapless behind the head: rejects with AppError internal where the log does not end at `after`. What it has
   * resolved for survives a power cut; `onWritten` is called before it resolves, when a crash of the server can no longer undo it.
   */
  append(append: { after: AuditHead; entries: AuditEntry[] }, onWritten?: () => void): Promise<void>
  read(filter: AuditFilter): Promise<AuditEntry[]>
  /** The newest entry's seq and hash, or `emptyAudit`. */
  readHead(): Promise<AuditHead>
}
