/** A piece of work that is to be done by a session, now or later. */
export type TaskRecord = {
  id: string
  userId: string
  projectId: string | null
  workspaceId: string | null
  sessionId: string | null
  turnId: string | null
  title: string
  prompt: string
  status: 'pending' | 'running' | 'done' | 'failed' | 'cancelled'
  createdAt: number
  updatedAt: number
}

export type TaskStore = {
  create(record: TaskRecord): Promise<void>
  get(id: string): Promise<TaskRecord | undefined>
  /** Oldest first. */
  list(filter: { userId: string; status?: TaskRecord['status']; limit: number }): Promise<TaskRecord[]>
  /** Changes it only while its status is still `from`; false when somebody else was first. */
  move(
    id: string,
    from: TaskRecord['status'],
    changes: Partial<Pick<TaskRecord, 'status' | 'sessionId' | 'turnId'>> & { updatedAt: number },
  ): Promise<boolean>
  delete(id: string): Promise<void>
}
