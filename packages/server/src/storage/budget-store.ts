export type Budget = { usd?: number; tokens?: number }

/** What may be spent in a day and a month, of UTC. `of`: `server` for all together, `everybody` for each user, or a user's id. */
export type BudgetRecord = { of: string; day: Budget | null; month: Budget | null; updatedAt: number }

export type BudgetStore = {
  /** In the place of what was there. */
  put(record: BudgetRecord): Promise<void>
  listAll(): Promise<BudgetRecord[]>
}
