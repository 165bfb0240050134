import type { AuditEntry, AuditResult } from '@aicm/protocol'

export type AuditRow = {
  seq: number
  /** ISO 8601, which sorts as time does. */
  time: string
  user_id: string | null
  username: string | null
  action: string
  target: string | null
  result: AuditResult
  code: string | null
  address: string | null
  request_id: string | null
  credential: string | null
  /** JSON. */
  detail: string
  hash: string
}

export const toAuditRow = (entry: AuditEntry): AuditRow => ({
  seq: entry.seq,
  time: entry.time,
  user_id: entry.userId,
  username: entry.username,
  action: entry.action,
  target: entry.target,
  result: entry.result,
  code: entry.code,
  address: entry.address,
  request_id: entry.requestId,
  credential: entry.credential,
  detail: JSON.stringify(entry.detail),
  hash: entry.hash,
})

/** Whatever somebody has made of the row: the chain tells that it was changed, so it must come out. */
const detailOf = (text: string): AuditEntry['detail'] => {
  try {
    return JSON.parse(text)
  } catch {
    return { unreadable: text }
  }
}

export const fromAuditRow = (row: AuditRow): AuditEntry => ({
  seq: row.seq,
  time: row.time,
  userId: row.user_id,
  username: row.username,
  action: row.action,
  target: row.target,
  result: row.result,
  code: row.code,
  address: row.address,
  requestId: row.request_id,
  credential: row.credential,
  detail: detailOf(row.detail),
  hash: row.hash,
})
