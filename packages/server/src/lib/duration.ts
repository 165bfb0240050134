const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `90s`, `15m`, `12h`, `30d`, `500ms`; undefined for `never`; NaN for what is neither. */
export const parseDuration = (text: string): number | undefined => {
  if (text === 'never') return undefined
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  return unit === undefined ? Number.NaN : Number(amount) * (units[unit] ?? Number.NaN)
}
