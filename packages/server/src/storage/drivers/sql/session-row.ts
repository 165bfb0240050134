import type { PermissionMode, SessionStatus } from '@aicm/protocol'
import { foldCase } from '../../fold-case.ts'
import type { SessionRecord } from '../../session-store.ts'

export type SessionRow = {
  id: string
  user_id: string
  workspace_id: string
  name: string
  name_folded: string
  model: string | null
  permission_mode: PermissionMode
  system_prompt: string | null
  max_turns: number | null
  one_shot: number
  /** The same as in `state`, where SQL can see it. */
  status: SessionStatus
  last_seq: number
  source_generation: number | null
  source_offset: number | null
  created_at: number
  updated_at: number
  /** JSON of SessionState. */
  state: string
}

export const toSessionRow = (record: SessionRecord): SessionRow => ({
  id: record.id,
  user_id: record.userId,
  workspace_id: record.workspaceId,
  name: record.name,
  name_folded: foldCase(record.name),
  model: record.model,
  permission_mode: record.permissionMode,
  system_prompt: record.systemPrompt,
  max_turns: record.maxTurns,
  one_shot: record.oneShot ? 1 : 0,
  status: record.state.status,
  last_seq: record.lastSeq,
  source_generation: record.source?.generation ?? null,
  source_offset: record.source?.offset ?? null,
  created_at: record.createdAt,
  updated_at: record.updatedAt,
  state: JSON.stringify(record.state),
})

export const fromSessionRow = (row: SessionRow): SessionRecord => ({
  id: row.id,
  userId: row.user_id,
  workspaceId: row.workspace_id,
  name: row.name,
  model: row.model,
  permissionMode: row.permission_mode,
  systemPrompt: row.system_prompt,
  maxTurns: row.max_turns,
  oneShot: row.one_shot === 1,
  state: JSON.parse(row.state),
  lastSeq: row.last_seq,
  source:
    row.source_generation === null || row.source_offset === null
      ? null
      : { generation: row.source_generation, offset: row.source_offset },
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})
