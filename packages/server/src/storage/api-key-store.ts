import type { Permission } from '@aicm/protocol'

export type ApiKeyRecord = {
  id: string
  userId: string
  name: string
  /** The beginning of the key, as it is shown. */
  prefix: string
  /** sha256 of the key, hex. Unique. */
  keyHash: string
  permissions: Permission[]
  createdAt: number
  expiresAt: number | null
  lastUsedAt: number | null
}

export type ApiKeyStore = {
  /** Rejects when there is no such user. */
  create(record: ApiKeyRecord): Promise<void>
  findByHash(keyHash: string): Promise<ApiKeyRecord | undefined>
  /** Newest first. */
  list(userId: string): Promise<ApiKeyRecord[]>
  noteUse(id: string, at: number): Promise<void>
  delete(id: string): Promise<void>
}
