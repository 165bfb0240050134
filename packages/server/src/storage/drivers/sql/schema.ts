import type { ShareRecord } from '../../share-store.ts'
import type { CredentialRecord } from '../../credential-store.ts'
import type { TaskRecord } from '../../task-store.ts'
import type { UsageRecord } from '../../usage-store.ts'
import type { UserRecord } from '../../user-store.ts'
import type { WorkspaceRecord } from '../../workspace-store.ts'

/** The tables that the shared stores work on, as migrations/ lays them. JSON is text, a time is milliseconds since 1970. */
export type Schema = {
  users: {
    id: string
    username: string
    username_folded: string
    password_hash: string
    must_change_password: number
    oidc_id: string | null
    role: UserRecord['role']
    disabled_at: number | null
    created_at: number
  }
  confined_users: { user_id: string; uid: number | null; limits: string | null }
  confined_workspaces: { workspace_id: string; confinement: string }
  user_quotas: { user_id: string; overrides: string }
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
  usage: {
    ledger: string
    seq: number
    time: number
    day: string
    session_id: string
    user_id: string
    credential_id: string
    model: string
    input_tokens: number
    output_tokens: number
    cache_read_tokens: number
    cache_write_tokens: number
    cost_usd: number
    priced: number
    status: number | null
    end: UsageRecord['end']
    first_byte_ms: number | null
    ms: number
  }
  credentials: {
    id: string
    user_id: string | null
    name: string
    kind: CredentialRecord['kind']
    upstream: string | null
    sealed: string
    hint: string
    enabled: number
    created_by: string
    created_at: number
    updated_at: number
  }
  budgets: {
    of: string
    day: string | null
    month: string | null
    updated_at: number
  }
}
