import { initialState } from '../../server/src/session/initial-state.ts'
import type { SessionRecord } from '../../server/src/storage/session-store.ts'

/** A session that was just created; `changes` are to its state. */
export const newRecord = (
  changes: Partial<SessionRecord['state']> = {},
  more: Partial<SessionRecord> = {},
): SessionRecord => ({
  id: 'ses_00000000000000000000000001',
  userId: 'usr_00000000000000000000000001',
  workspaceId: 'wsp_00000000000000000000000001',
  name: 'test',
  model: null,
  permissionMode: 'default',
  systemPrompt: null,
  maxTurns: null,
  oneShot: false,
  state: { ...initialState('00000000-0000-4000-8000-000000000001'), ...changes },
  lastSeq: 0,
  source: null,
  createdAt: 1_700_000_000_000,
  updatedAt: 1_700_000_000_000,
  ...more,
})
