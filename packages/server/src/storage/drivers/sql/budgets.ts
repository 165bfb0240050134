import type { Kysely } from 'kysely'
import type { Budget, BudgetStore } from '../../budget-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const toText = (budget: Budget | null): string | null => (budget === null ? null : JSON.stringify(budget))
const fromText = (text: string | null): Budget | null => (text === null ? null : JSON.parse(text))

export const createBudgets = (db: Kysely<Schema>, errors: SqlErrors): BudgetStore => ({
  put: async (record) => {
    const changes = { day: toText(record.day), month: toText(record.month), updated_at: record.updatedAt }
    await runQuery(errors, () =>
      db
        .insertInto('budgets')
        .values({ of: record.of, ...changes })
        .onConflict((conflict) => conflict.column('of').doUpdateSet(changes))
        .execute(),
    )
  },
  listAll: async () => {
    const rows = await runQuery(errors, () => db.selectFrom('budgets').selectAll().orderBy('of').execute())
    return rows.map((row) => ({
      of: row.of,
      day: fromText(row.day),
      month: fromText(row.month),
      updatedAt: row.updated_at,
    }))
  },
})
