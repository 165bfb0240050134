import type { TaskRecord } from '../../task-store.ts'
import type { UserRecord } from '../../user-store.ts'
import type { WorkspaceRecord } from '../../workspace-store.ts'

/** The tables that the shared stores work on, as migrations/ lays them. JSON is text, a time is milliseconds since 1970. */
export type Schema = {
  users: {
    id: string
    username: string
    username_folded: string
    password_hash: string
    role: UserRecord['role']
    created_at: number
  }
  confined_users: { user_id: string; uid: number | null }
  refresh_tokens: {
    token_hash: string
    family_id: string
    user_id: string
    created_at: number
    expires_at: number
    used_at: number | null
    revoked_at: number | null
  }
  workspaces: {
    id: string
    user_id: string
    name: string
    source: WorkspaceRecord['source']
    path: string
    git_url: string | null
    status: WorkspaceRecord['status']
    error: string | null
    created_at: number
  }
  projects: {
    id: string
    user_id: string
    name: string
    description: string
    workspace_ids: string
    created_at: number
    updated_at: number
  }
  tasks: {
    id: string
    user_id: string
    project_id: string | null
    workspace_id: string | null
    session_id: string | null
    turn_id: string | null
    title: string
    prompt: string
    status: TaskRecord['status']
    created_at: number
    updated_at: number
  }
}
