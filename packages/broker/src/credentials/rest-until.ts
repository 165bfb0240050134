import type { IncomingHttpHeaders } from 'node:http'

/** How long a refusal (429, 529) asks to be left alone, as milliseconds since 1970; undefined where it does not say. Pure. */
export const restUntil = (status: number, headers: IncomingHttpHeaders, now: number): number | undefined => {
  if (status !== 429 && status !== 529) return undefined
  const reset = Number(headers['anthropic-ratelimit-unified-reset'] ?? Number.NaN)
  if (headers['anthropic-ratelimit-unified-status'] === 'rejected' && reset * 1000 > now) return reset * 1000
  const after = headers['retry-after']
  if (after === undefined) return undefined
  const seconds = Number(after)
  const until = Number.isFinite(seconds) ? now + seconds * 1000 : Date.parse(after)
  return until > now ? until : undefined
}

/** What a refusal says of limits, for whoever is refused later for the same reason. */
export const limitHeaders = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith('anthropic-ratelimit-') && typeof value === 'string' ? [[name, value]] : [],
    ),
  )
