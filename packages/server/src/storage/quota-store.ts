import type { QuotaChanges } from '@aicm/protocol'

export type QuotaStore = {
  get(userId: string): Promise<QuotaChanges | undefined>
  /** Replaces what was set. The user must exist. */
  set(userId: string, changes: QuotaChanges): Promise<void>
}
