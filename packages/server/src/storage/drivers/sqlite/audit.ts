import { emptyAudit, type AuditHead } from '@aicm/protocol'
import { checkAuditAppend } from '../../audit-checks.ts'
import type { AuditFilter, AuditStore } from '../../audit-store.ts'
import { fromAuditRow, toAuditRow, type AuditRow } from '../sql/audit-row.ts'
import type { Connection } from './connection.ts'

const conditions: Record<Exclude<keyof AuditFilter, 'order' | 'limit'>, string> = {
  after: 'seq > @after',
  before: 'seq < @before',
  userId: 'user_id = @userId',
  username: 'username = @username',
  action: 'action = @action',
  target: 'target = @target',
  result: 'result = @result',
  from: 'time >= @from',
  to: 'time <= @to',
}

/** Only what is asked for stands in the statement, so that an index can serve it. */
const selectOf = (filter: AuditFilter): string => {
  const where = Object.entries(conditions)
    .filter(([name]) => filter[name as keyof AuditFilter] !== undefined)
    .map(([, condition]) => condition)
  return `SELECT * FROM audit_log ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`}
    ORDER BY seq ${filter.order === 'newest' ? 'DESC' : 'ASC'} LIMIT @limit`
}

export const createAudit = ({ file, read, write }: Connection): AuditStore => {
  const findHead = file.prepare<[], AuditHead>('SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1')
  const insert = file.prepare<[AuditRow]>(`
    INSERT INTO audit_log
      (seq, time, user_id, username, action, target, result, code, address, request_id, credential, detail, hash)
    VALUES
      (@seq, @time, @user_id, @username, @action, @target, @result, @code, @address, @request_id, @credential, @detail, @hash)`)
  const head = (): AuditHead => findHead.get() ?? emptyAudit
  return {
    append: async (append, onWritten) => {
      const rows = append.entries.map(toAuditRow)
      await write(() => {
        checkAuditAppend(append, head())
        for (const row of rows) insert.run(row)
      }, onWritten)
    },
    read: async (filter) =>
      read(() => file.prepare<[AuditFilter], AuditRow>(selectOf(filter)).all(filter).map(fromAuditRow)),
    readHead: async () => read(head),
  }
}
