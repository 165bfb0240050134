import { routes, type UsageSum } from '@aicm/protocol'
import { AppError } from '../../../lib/app-error.ts'
import { assertMay } from '../../access.ts'
import type { Services } from '../../services.ts'
import { streamed, type Register } from '../register.ts'

const dayMs = 24 * 3_600_000

/** The beginning of a day that was written as one; 2026-02-30 is none. */
const dayOf = (text: string): number => {
  const time = Date.parse(`${text}T00:00:00.000Z`)
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== text)
    throw new AppError('invalid_request', `${text} is no day.`)
  return time
}

const numbers = [
  'calls',
  'inputTokens',
  'outputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'costUsd',
  'guessed',
] as const

const totalOf = (sums: UsageSum[]): UsageSum => {
  const total: UsageSum = {
    key: 'total',
    ...(Object.fromEntries(numbers.map((name) => [name, 0])) as Omit<UsageSum, 'key'>),
  }
  for (const sum of sums) for (const name of numbers) total[name] += sum[name]
  return total
}

/** A cell that a spreadsheet would take for a formula is made a text. */
const cell = (value: string | number | null | undefined): string => {
  const text = String(value ?? '')
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const toCsv = (group: string, sums: UsageSum[]): string =>
  [
    [group, ...numbers, ...(group === 'session' ? ['claudeCostUsd'] : [])],
    ...sums.map((sum) => [
      sum.key,
      ...numbers.map((name) => sum[name]),
      ...(group === 'session' ? [sum.claudeCostUsd] : []),
    ]),
  ]
    .map((row) => `${row.map(cell).join(',')}\r\n`)
    .join('')

export const registerUsage = (register: Register, { database, registry, spending, clock }: Services): void => {
  register(routes.usage.usage, async ({ user, query, request, reply }) => {
    if (query.of === 'all') assertMay(user, 'usage.read')
    const today = new Date(clock.now()).toISOString().slice(0, 10)
    const { from = `${today.slice(0, 7)}-01`, to = today, groupBy = 'day' } = query
    const filter = { from: dayOf(from), to: dayOf(to) + dayMs, ...(query.of === 'all' ? {} : { userId: user.id }) }
    // What the broker has counted until now; while it is down, what was stored.
    await spending.broker.collect()
    const found = await database.usage.listSums(filter, groupBy)
    const usage: UsageSum[] =
      groupBy === 'session'
        ? await Promise.all(
            found.map(async (sum) => ({
              ...sum,
              claudeCostUsd: (await registry.peek(sum.key))?.state.costUsd ?? null,
            })),
          )
        : found
    if ((request.headers.accept ?? '').includes('text/csv')) {
      void reply.type('text/csv; charset=utf-8').send(toCsv(groupBy, usage))
      return streamed
    }
    return { from, to, usage, total: totalOf(usage) }
  })
}
