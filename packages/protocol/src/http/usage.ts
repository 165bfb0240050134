import { Type, type Static } from 'typebox'
import { route } from '../route.ts'
import { strict } from './common.ts'

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

export const UsageGroup = Type.Enum(['user', 'session', 'model', 'day'])
export type UsageGroup = Static<typeof UsageGroup>

export const UsageSum = Type.Object({
  key: Type.String({ description: 'Of the group: an id, the name of a model, or a day (UTC)' }),
  calls: Type.Integer(),
  inputTokens: Type.Integer(),
  outputTokens: Type.Integer(),
  cacheReadTokens: Type.Integer(),
  cacheWriteTokens: Type.Integer(),
  costUsd: Type.Number({ description: 'By the price table, at the time of each call' }),
  guessed: Type.Integer({ description: 'Calls whose cost is a guess: broken off, or of a model without a price' }),
  claudeCostUsd: Type.Optional(
    nullable(Type.Number({ description: "By session: what claude itself has reported; null when it doesn't exist" })),
  ),
})
export type UsageSum = Static<typeof UsageSum>

const Day = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\d$', description: 'Of UTC, like 2026-11-26' })

export const usageRoutes = {
  usage: route({
    id: 'usage',
    method: 'GET',
    path: '/v1/usage',
    summary: 'What was used of the model API',
    description:
      'Your own; with `of=all` and the permission usage.read everybody’s. `from` and `to` are included; without them, this month. With Accept: text/csv a table.',
    tag: 'usage',
    auth: 'sessions.read',
    query: strict({
      from: Type.Optional(Day),
      to: Type.Optional(Day),
      groupBy: Type.Optional(UsageGroup),
      of: Type.Optional(Type.Enum(['own', 'all'])),
    }),
    status: 200,
    response: Type.Object({ from: Type.String(), to: Type.String(), usage: Type.Array(UsageSum), total: UsageSum }),
  }),
} as const
