import { routes, type Budget, type BudgetSetting } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findUser, isWhole, userNames } from '../../find.ts'
import { table } from '../../table.ts'

const amountOf = (budget: Budget | null): string =>
  budget === null
    ? 'none'
    : [
        budget.usd === undefined ? [] : [`$${budget.usd}`],
        budget.tokens === undefined ? [] : [`${budget.tokens} tokens`],
      ]
        .flat()
        .join(', ')

const names = {
  'user.day': 'yours, a day',
  'user.month': 'yours, a month',
  'server.day': "the server's, a day",
  'server.month': "the server's, a month",
} as const

export const show = async (context: Context): Promise<ExitCode> => {
  const client = await context.client()
  const found = await client.call(routes.budgets.list, {})
  if (context.json) {
    context.out.json(found)
    return exitCodes.ok
  }
  const rows = found.budgets.map(({ budget, limit, spent, resetsAt }) => [
    names[budget],
    amountOf(limit),
    `$${spent.usd.toFixed(4)}, ${spent.tokens} tokens`,
    resetsAt,
  ])
  context.out.print(table(['BUDGET', 'LIMIT', 'SPENT', 'BEGINS ANEW'], rows, context.out.style.bold))
  if (found.settings !== undefined && found.settings.length > 0)
    printSettings(context, found.settings, await userNames(client))
  return exitCodes.ok
}

const printSettings = (context: Context, settings: BudgetSetting[], nameOf: (of: string) => string): void =>
  context.out.print(
    `\n${table(
      ['SET FOR', 'A DAY', 'A MONTH'],
      settings.map(({ of, day, month }) => [nameOf(of), amountOf(day), amountOf(month)]),
      context.out.style.bold,
    )}`,
  )

type SetFlags = { day?: string; month?: string }

/** `5`, `5usd`, `100000tokens`, both with a comma, or `none`. */
const parseBudget = (text: string): Budget | null => {
  if (text === 'none') return null
  const parts = text.split(',').map((part) => /^(\d+(?:\.\d+)?)(usd|tokens)?$/.exec(part.trim()))
  const budget = Object.fromEntries(
    parts.flatMap((part) => (part === null ? [] : [[part[2] ?? 'usd', Number(part[1])]])),
  )
  if (parts.includes(null))
    throw usageError(`"${text}" is no budget.`, 'It looks like 5usd, 100000tokens, 5usd,100000tokens or none.')
  return budget
}

export const set = async (context: Context, given: string, { day, month }: SetFlags): Promise<ExitCode> => {
  if (day === undefined && month === undefined) throw usageError('Say what to set: --day or --month.')
  const budgets = {
    ...(day === undefined ? {} : { day: parseBudget(day) }),
    ...(month === undefined ? {} : { month: parseBudget(month) }),
  }
  const client = await context.client()
  // An id goes to the server as it is: who sets budgets need not be somebody who may list users.
  const of =
    given === 'server' || given === 'everybody' || isWhole('usr', given) ? given : (await findUser(client, given)).id
  const setting = await client.call(routes.budgets.set, { body: { of, ...budgets } })
  if (context.json) context.out.json(setting)
  else printSettings(context, [setting], () => given)
  return exitCodes.ok
}
