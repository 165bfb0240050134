export type WorkspaceRecord = {
  id: string
  userId: string
  /** Unique among the user's workspaces. */
  name: string
  source: 'empty' | 'git' | 'folder'
  path: string
  gitUrl: string | null
  status: 'cloning' | 'ready' | 'failed'
  error: string | null
  createdAt: number
}

export type WorkspaceStore = {
  /** Rejects with AppError workspace_exists when the user has one of this name. */
  create(record: WorkspaceRecord): Promise<void>
  get(id: string): Promise<WorkspaceRecord | undefined>
  /** Newest first. */
  list(userId: string): Promise<WorkspaceRecord[]>
  update(id: string, changes: Pick<WorkspaceRecord, 'status' | 'error'>): Promise<void>
  /** Those that a crash of the server left in the middle. */
  listCloning(): Promise<WorkspaceRecord[]>
  delete(id: string): Promise<void>
}
