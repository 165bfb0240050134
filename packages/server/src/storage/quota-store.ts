/** What of a user's quotas differs from the server's; null is no limit. */
export type QuotaOverrides = {
  sessions?: number | null
  processes?: number | null
  prompts?: number | null
  connections?: number | null
  bytes?: number | null
}

export type QuotaStore = {
  get(userId: string): Promise<QuotaOverrides | undefined>
  /** Replaces what was set. The user must exist. */
  set(userId: string, overrides: QuotaOverrides): Promise<void>
}
