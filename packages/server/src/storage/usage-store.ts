/** One call of the model API. `ledger` and `seq` name it: the broker's ledger is the source, and says it any number of times. */
export type UsageRecord = {
  ledger: string
  seq: number
  time: number
  sessionId: string
  userId: string
  credentialId: string
  model: string
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
  costUsd: number
  priced: boolean
  status: number | null
  end: 'complete' | 'cut'
  firstByteMs: number | null
  ms: number
}

export type UsageFilter = { from: number; to: number; userId?: string; sessionId?: string }

export const usageGroups = ['user', 'session', 'model', 'day'] as const
export type UsageGroup = (typeof usageGroups)[number]

export type UsageSum = {
  /** Of the group: a user's or session's id, a model's name, a day of UTC like 2026-11-26. */
  key: string
  calls: number
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
  costUsd: number
  /** How many of the calls have a cost that is a guess. */
  guessed: number
}

export type UsageStore = {
  /** Those that are stored already are left as they are. */
  add(records: UsageRecord[]): Promise<void>
  /** The newest of this ledger that is stored; 0 for none. */
  getLastSeq(ledger: string): Promise<number>
  /** Sums by group, in the order of their keys; `from` is included and `to` is not. */
  listSums(filter: UsageFilter, group: UsageGroup): Promise<UsageSum[]>
}
