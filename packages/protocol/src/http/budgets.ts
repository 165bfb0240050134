import { Type, type Static } from 'typebox'
import { Time } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

/** Tokens are those that are worked on anew: input, cache writes and output. */
export const Budget = strict(
  {
    usd: Type.Optional(Type.Number({ minimum: 0, maximum: 1e9 })),
    tokens: Type.Optional(Type.Integer({ minimum: 0, maximum: 1e15 })),
  },
  { minProperties: 1 },
)
export type Budget = Static<typeof Budget>

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

/** A budget that counts for you, and what is left of it. */
export const BudgetState = Type.Object({
  budget: Type.Enum(['user.day', 'user.month', 'server.day', 'server.month'], {
    description: 'Your own, or that of all users together',
  }),
  limit: nullable(Budget),
  spent: Type.Object({ usd: Type.Number(), tokens: Type.Number() }),
  resetsAt: Time,
})
export type BudgetState = Static<typeof BudgetState>

export const BudgetSetting = Type.Object({
  of: Type.String({ description: '`server`: all users together; `everybody`: each user; or the id of a user' }),
  day: nullable(Budget),
  month: nullable(Budget),
})
export type BudgetSetting = Static<typeof BudgetSetting>

const tag = 'budgets'

export const budgetRoutes = {
  list: route({
    id: 'listBudgets',
    method: 'GET',
    path: '/v1/budgets',
    summary: 'Show the budgets that count for you',
    description: 'Days and months are of UTC. With the permission server.manage also what is set, for whom.',
    tag,
    auth: 'sessions.read',
    status: 200,
    response: Type.Object({ budgets: Type.Array(BudgetState), settings: Type.Optional(Type.Array(BudgetSetting)) }),
  }),
  set: route({
    id: 'setBudget',
    method: 'PATCH',
    path: '/v1/budgets',
    summary: 'Set a budget',
    description:
      'What is left out stays, null removes. A user has the budget of `everybody` where there is none of their own. It counts from the next call on, with what was spent before.',
    tag,
    auth: 'server.manage',
    body: strict({
      of: Type.String({ pattern: '^(server|everybody|usr_[0-9a-hjkmnp-tv-z]{26})$' }),
      day: Type.Optional(nullable(Budget)),
      month: Type.Optional(nullable(Budget)),
    }),
    status: 200,
    response: BudgetSetting,
  }),
} as const
