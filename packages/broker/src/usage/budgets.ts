import { amount, onlyKeys, record } from '../parse.ts'
import { endOf, keysOf, periods, sumKeys, type Period, type Sums, type Who } from './sums.ts'

export type Budget = { usd?: number; tokens?: number }
export type PeriodBudgets = { day?: Budget; month?: Budget }

export type Budgets = {
  server?: PeriodBudgets
  /** Each user's own, where `users` says nothing else. */
  everybody?: PeriodBudgets
  users?: Record<string, PeriodBudgets>
  sessions?: Record<string, Budget>
}

export type BudgetName = 'session' | `${'user' | 'server'}.${Period}`

/** Which budget is used up, and when it begins anew (milliseconds since 1970); a session's never does. */
export type Exceeded = {
  budget: BudgetName
  unit: 'usd' | 'tokens'
  limit: number
  spent: number
  resetsAt: number | null
}

/** What calls under way have set aside. */
export type Reserved = Map<string, { usd: number; tokens: number }>

type Limit = { name: BudgetName; key: string; budget: Budget; resetsAt: number | null }

const limitsOf = (budgets: Budgets, who: Who, now: number): Limit[] => {
  const session = budgets.sessions?.[who.sessionId]
  const user = { ...budgets.everybody, ...budgets.users?.[who.userId] }
  const own: Limit[] =
    session === undefined ? [] : [{ name: 'session', key: sumKeys.session(who), budget: session, resetsAt: null }]
  const perPeriod = periods.flatMap((period): Limit[] => {
    const resetsAt = endOf(period, now)
    const ofUser = user[period]
    const ofServer = budgets.server?.[period]
    return [
      ...(ofUser === undefined
        ? []
        : [{ name: `user.${period}` as const, key: sumKeys.user(who, period, now), budget: ofUser, resetsAt }]),
      ...(ofServer === undefined
        ? []
        : [{ name: `server.${period}` as const, key: sumKeys.server(period, now), budget: ofServer, resetsAt }]),
    ]
  })
  return [...own, ...perPeriod]
}

/** The first budget that a call of at least this cost does not fit into; undefined where it fits into all. Pure. */
export const findExceeded = (options: {
  budgets: Budgets
  sums: Sums
  reserved: Reserved
  who: Who
  least: { usd: number; tokens: number }
  now: number
}): Exceeded | undefined => {
  for (const { name, key, budget, resetsAt } of limitsOf(options.budgets, options.who, options.now))
    for (const unit of ['usd', 'tokens'] as const) {
      const limit = budget[unit]
      const spent = options.sums.get(key)?.[unit] ?? 0
      const aside = options.reserved.get(key)?.[unit] ?? 0
      if (limit !== undefined && spent + aside + options.least[unit] > limit)
        return { budget: name, unit, limit, spent, resetsAt }
    }
  return undefined
}

/** Sets aside what a call costs at least, until it is known what it did cost. Returns the way to give it back. */
export const reserve = (
  reserved: Reserved,
  who: Who,
  least: { usd: number; tokens: number },
  now: number,
): (() => void) => {
  const keys = keysOf(who, now)
  const add = (sign: 1 | -1): void => {
    for (const key of keys) {
      const { usd = 0, tokens = 0 } = reserved.get(key) ?? {}
      const next = { usd: usd + sign * least.usd, tokens: tokens + sign * least.tokens }
      // One token a call at least, so none left means no call left.
      if (next.tokens <= 0) reserved.delete(key)
      else reserved.set(key, next)
    }
  }
  add(1)
  let open = true
  return () => {
    if (open) add(-1)
    open = false
  }
}

const owners = { session: 'this session', user: 'yours', server: "the server's" }

const amountText = (unit: 'usd' | 'tokens', value: number): string =>
  unit === 'usd' ? `$${value.toFixed(value < 1 ? 4 : 2)}` : `${Math.round(value)} tokens`

/** What claude is told, and shows. The server reads which budget it was from it again. */
export const exceededMessage = ({ budget, unit, limit, spent, resetsAt }: Exceeded): string => {
  const [owner, period] = budget.split('.')
  const whose = owners[owner as keyof typeof owners]
  const what = `${amountText(unit, limit)}${period === undefined ? '' : ` a ${period}`} (${whose})`
  const when =
    resetsAt === null
      ? 'It does not begin anew: start a new session.'
      : `It begins anew at ${new Date(resetsAt).toISOString()}.`
  return `Budget exceeded [${budget}]: the budget of ${what} is used up, ${amountText(unit, spent)} were spent. ${when}`
}

const messagePattern = /Budget exceeded \[([a-z.]+)\]:.*?(?:begins anew at (\S+Z)\.|start a new session\.)/s

/** The other direction; undefined for any other text. */
export const readExceeded = (text: string): { budget: string; resetsAt: string | null } | undefined => {
  const [, budget, resetsAt] = messagePattern.exec(text) ?? []
  return budget === undefined ? undefined : { budget, resetsAt: resetsAt ?? null }
}

const parseBudget = (value: unknown): Budget => {
  const budget = record(value, 'a budget')
  onlyKeys(budget, ['usd', 'tokens'])
  return {
    ...(budget.usd === undefined ? {} : { usd: amount(budget.usd, 'usd') }),
    ...(budget.tokens === undefined ? {} : { tokens: amount(budget.tokens, 'tokens') }),
  }
}

const parsePeriods = (value: unknown): PeriodBudgets => {
  const given = record(value, 'budgets')
  onlyKeys(given, ['day', 'month'])
  return {
    ...(given.day === undefined ? {} : { day: parseBudget(given.day) }),
    ...(given.month === undefined ? {} : { month: parseBudget(given.month) }),
  }
}

const parseMap = <T>(value: unknown, parse: (value: unknown) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(record(value, 'budgets')).map(([key, one]) => [key, parse(one)]))

/** Throws InvalidConfig. */
export const parseBudgets = (value: unknown): Budgets => {
  const given = record(value, 'budgets')
  onlyKeys(given, ['server', 'everybody', 'users', 'sessions'])
  return {
    ...(given.server === undefined ? {} : { server: parsePeriods(given.server) }),
    ...(given.everybody === undefined ? {} : { everybody: parsePeriods(given.everybody) }),
    ...(given.users === undefined ? {} : { users: parseMap(given.users, parsePeriods) }),
    ...(given.sessions === undefined ? {} : { sessions: parseMap(given.sessions, parseBudget) }),
  }
}
