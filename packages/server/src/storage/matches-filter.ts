import { foldCase } from './fold-case.ts'
import type { SessionFilter, SessionRecord } from './session-store.ts'

export const isOpen = ({ state }: SessionRecord): boolean => state.status !== 'closed'

/** Whether a list with this filter has the session, for stores that look at each. */
export const matchesFilter = (
  record: SessionRecord,
  { userId, status, workspaceId, text, before }: Omit<SessionFilter, 'limit'>,
): boolean =>
  record.userId === userId &&
  (status === undefined || record.state.status === status) &&
  (workspaceId === undefined || record.workspaceId === workspaceId) &&
  (before === undefined || record.id < before) &&
  (text === undefined || foldCase(record.name).includes(foldCase(text)))
