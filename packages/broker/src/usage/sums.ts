/** What was spent on something. Tokens are those that were worked on anew: input, cache writes and output, no cache reads. */
export type Sum = { usd: number; tokens: number; at: number }
export type Sums = Map<string, Sum>

export type Who = { sessionId: string; userId: string }

/** Days and months are UTC's. */
const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10)
const monthOf = (now: number): string => new Date(now).toISOString().slice(0, 7)

export const periods = ['day', 'month'] as const
export type Period = (typeof periods)[number]

/** When the period of `now` ends, in milliseconds since 1970. */
export const endOf = (period: Period, now: number): number => {
  const date = new Date(now)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return period === 'day' ? Date.UTC(year, month, date.getUTCDate() + 1) : Date.UTC(year, month + 1, 1)
}

export const sumKeys = {
  session: ({ sessionId }: Pick<Who, 'sessionId'>): string => `session/${sessionId}`,
  user: ({ userId }: Pick<Who, 'userId'>, period: Period, now: number): string =>
    `user/${userId}/${period === 'day' ? dayOf(now) : monthOf(now)}`,
  server: (period: Period, now: number): string => `server/${period === 'day' ? dayOf(now) : monthOf(now)}`,
}

/** Every sum that a call of this time counts in. */
export const keysOf = (who: Who, now: number): string[] => [
  sumKeys.session(who),
  ...periods.flatMap((period) => [sumKeys.user(who, period, now), sumKeys.server(period, now)]),
]

export const addTo = (sums: Sums, keys: string[], { usd, tokens, at }: Sum): void => {
  for (const key of keys) {
    const sum = sums.get(key)
    sums.set(key, { usd: (sum?.usd ?? 0) + usd, tokens: (sum?.tokens ?? 0) + tokens, at: Math.max(at, sum?.at ?? 0) })
  }
}

/** A session that has rested for longer begins anew, unless it is one that `keeps`. Of periods the last one is over by then. */
const keptMs = 40 * 24 * 3_600_000

export const prune = (sums: Sums, now: number, keeps: (sessionId: string) => boolean): void => {
  for (const [key, { at }] of sums)
    if (now - at > keptMs && !(key.startsWith('session/') && keeps(key.slice('session/'.length)))) sums.delete(key)
}
