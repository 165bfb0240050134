import type { ApprovalStore } from '../../approval-store.ts'
import { fromApprovalRow, type ApprovalRow } from '../sql/approval-row.ts'
import type { Connection } from './connection.ts'

export const createApprovals = ({ file, read }: Connection): ApprovalStore => {
  const get = file.prepare<[string], ApprovalRow>('SELECT * FROM approvals WHERE id = ?')
  const listPending = file.prepare<[string], ApprovalRow>(
    "SELECT * FROM approvals WHERE user_id = ? AND state = 'pending' ORDER BY id",
  )
  return {
    get: async (id) => {
      const row = read(() => get.get(id))
      return row && fromApprovalRow(row)
    },
    // A person has few open ones, so a session's are picked out of them here.
    listPending: async ({ userId, sessionId }) =>
      read(() => listPending.all(userId))
        .filter((row) => sessionId === undefined || row.session_id === sessionId)
        .map(fromApprovalRow),
  }
}
