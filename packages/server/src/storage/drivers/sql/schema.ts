import type { ShareRecord } from '../../share-store.ts'
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
    oidc_id: string | null
    role: UserRecord['role']
    disabled_at: number | null
    created_at: number
  }
  logins: {
    id: string
    user_id: string
    family_hash: string
    token_hash: string
    agent: string | null
    created_at: number
    used_at: number
    expires_at: number
    revoked_at: number | null
  }
  api_keys: {
    id: string
    user_id: string
    name: string
    prefix: string
    key_hash: string
    permissions: string
    created_at: number
    expires_at: number | null
    last_used_at: number | null
  }
  shares: {
    target_id: string
    user_id: string
    access: ShareRecord['access']
    created_at: number
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
