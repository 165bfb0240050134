import type { AuditHead } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import type { AuditStore } from './audit-store.ts'

/** What every driver checks before it writes. */
export const checkAuditAppend = ({ after, entries }: Parameters<AuditStore['append']>[0], head: AuditHead): void => {
  if (head.seq !== after.seq || head.hash !== after.hash)
    throw new AppError('internal', `The audit log ends at entry ${head.seq}, and not as it was left at ${after.seq}.`)
  const gap = entries.findIndex(({ seq }, index) => seq !== after.seq + 1 + index)
  if (gap >= 0) throw new AppError('internal', `The audit entries do not follow ${after.seq} without a gap.`)
}
