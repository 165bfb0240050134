/** A named group of a user's workspaces. */
export type ProjectRecord = {
  id: string
  userId: string
  /** Unique among the user's projects. */
  name: string
  description: string
  workspaceIds: string[]
  createdAt: number
  updatedAt: number
}

export type ProjectStore = {
  create(record: ProjectRecord): Promise<void>
  get(id: string): Promise<ProjectRecord | undefined>
  /** Newest first. */
  list(userId: string): Promise<ProjectRecord[]>
  update(
    id: string,
    changes: Partial<Pick<ProjectRecord, 'name' | 'description' | 'workspaceIds'>> & { updatedAt: number },
  ): Promise<void>
  delete(id: string): Promise<void>
}
