import type { Budgets as BrokerBudgets, PeriodBudgets } from '@aicm/broker'
import type { BudgetRecord } from '../storage/budget-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'

const periodsOf = ({ day, month }: BudgetRecord): PeriodBudgets => ({
  ...(day === null ? {} : { day }),
  ...(month === null ? {} : { month }),
})

/** What the broker is told of the budgets that were set. Pure. */
export const brokerBudgets = (
  records: readonly BudgetRecord[],
  sessions: readonly Pick<SessionRecord, 'id' | 'state'>[],
): BrokerBudgets => {
  const of = new Map(records.map((record) => [record.of, periodsOf(record)]))
  const { server, everybody, ...users } = Object.fromEntries(of)
  return {
    ...(server === undefined ? {} : { server }),
    ...(everybody === undefined ? {} : { everybody }),
    users,
    sessions: Object.fromEntries(
      sessions.flatMap(({ id, state }) => (state.budget === undefined ? [] : [[id, state.budget]])),
    ),
  }
}
