import type { BudgetRecord } from '../../budget-store.ts'
import type { CredentialRecord } from '../../credential-store.ts'
import type { Database } from '../../database.ts'
import type { UsageGroup, UsageRecord, UsageSum } from '../../usage-store.ts'
import { copy } from './copy.ts'
import { createTable } from './table.ts'

const keyOf: Record<UsageGroup, (record: UsageRecord) => string> = {
  user: ({ userId }) => userId,
  session: ({ sessionId }) => sessionId,
  model: ({ model }) => model,
  day: ({ time }) => new Date(time).toISOString().slice(0, 10),
}

const none = { calls: 0, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 }

const sumOf = (key: string, records: UsageRecord[]): UsageSum =>
  records.reduce(
    (sum, record) => ({
      key,
      calls: sum.calls + 1,
      inputTokens: sum.inputTokens + record.inputTokens,
      outputTokens: sum.outputTokens + record.outputTokens,
      cacheReadTokens: sum.cacheReadTokens + record.cacheReadTokens,
      cacheWriteTokens: sum.cacheWriteTokens + record.cacheWriteTokens,
      costUsd: sum.costUsd + record.costUsd,
      guessed: sum.guessed + (record.priced ? 0 : 1),
    }),
    { key, ...none, guessed: 0 },
  )

const createUsage = (): Database['usage'] => {
  const records = new Map<string, UsageRecord>()
  return {
    add: async (added) => {
      for (const record of added) {
        const key = `${record.ledger}:${record.seq}`
        if (!records.has(key)) records.set(key, copy(record))
      }
    },
    getLastSeq: async (ledger) =>
      Math.max(0, ...[...records.values()].filter((record) => record.ledger === ledger).map(({ seq }) => seq)),
    listSums: async ({ from, to, userId, sessionId }, group) => {
      const wanted = [...records.values()].filter(
        (record) =>
          record.time >= from &&
          record.time < to &&
          (userId === undefined || record.userId === userId) &&
          (sessionId === undefined || record.sessionId === sessionId),
      )
      return Object.entries(Object.groupBy(wanted, keyOf[group]))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, group = []]) => sumOf(key, group))
    },
  }
}

export const createSpending = (): Pick<Database, 'usage' | 'credentials' | 'budgets'> => {
  const credentials = createTable<CredentialRecord>()
  const budgets = new Map<string, BudgetRecord>()
  return {
    usage: createUsage(),
    credentials: {
      create: async (record) => credentials.insert(record),
      get: async (id) => credentials.get(id),
      listAll: async () => credentials.where(() => true),
      update: async (id, changes) => credentials.update(id, changes),
      delete: async (id) => credentials.delete(id),
    },
    budgets: {
      put: async (record) => void budgets.set(record.of, copy(record)),
      listAll: async () => [...budgets.values()].sort((a, b) => (a.of < b.of ? -1 : 1)).map(copy),
    },
  }
}
