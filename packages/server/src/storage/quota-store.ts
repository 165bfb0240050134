import type { QuotaChanges } from '@aicm/protocol'

export type QuotaStore = {
  get(userId: string): Promise<QuotaChanges | undefined>
  /** Of all users of whom something was set. */
  listAll(): Promise<{ userId: string; changes: QuotaChanges }[]>
  /** Replaces what was set. The user must exist. */
  set(userId: string, changes: QuotaChanges): Promise<void>
}
