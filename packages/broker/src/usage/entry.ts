/** One call of the model API, as the ledger has it. */
export type UsageEntry = {
  /** 1 is the ledger's first entry, and none is missing. */
  seq: number
  /** When it began; milliseconds since 1970. */
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
  /** False where the price table has no such model, or the answer did not say what it used: then the cost is a guess. */
  priced: boolean
  /** The upstream's; null where it gave none. */
  status: number | null
  /** `cut`: it broke off, and counts as what was said to have been used until then. */
  end: 'complete' | 'cut'
  firstByteMs: number | null
  ms: number
}

export type DraftEntry = Omit<UsageEntry, 'seq'>
