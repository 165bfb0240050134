import { routes, type UsageGroup, type UsageSum } from '@aicm/protocol'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { userNames } from '../../find.ts'
import { table } from '../../table.ts'

type UsageFlags = { from?: string; to?: string; by: UsageGroup; all?: boolean }

export const usage = async (context: Context, { from, to, by, all }: UsageFlags): Promise<ExitCode> => {
  const client = await context.client()
  const found = await client.call(routes.usage.usage, {
    query: {
      groupBy: by,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(all === true ? { of: 'all' as const } : {}),
    },
  })
  if (context.json) context.out.json(found)
  else {
    const head = [by.toUpperCase(), 'CALLS', 'INPUT', 'OUTPUT', 'CACHE READ', 'CACHE WRITE', 'USD']
    const nameOf = by === 'user' && all === true ? await userNames(client) : (key: string): string => key
    const sums = found.usage.map((sum) => ({ ...sum, key: nameOf(sum.key) }))
    const rows = [...sums, { ...found.total, key: `${found.from} to ${found.to}` }].map(rowOf)
    context.out.print(table(head, rows, context.out.style.bold))
    if (found.total.guessed > 0)
      context.err.print(`~ with guesses: calls that broke off, or of models without a price (${found.total.guessed}).`)
  }
  return exitCodes.ok
}

const rowOf = (sum: UsageSum): string[] => [
  sum.key,
  ...[sum.calls, sum.inputTokens, sum.outputTokens, sum.cacheReadTokens, sum.cacheWriteTokens].map(String),
  `${sum.guessed > 0 ? '~' : ''}${sum.costUsd.toFixed(4)}`,
]
