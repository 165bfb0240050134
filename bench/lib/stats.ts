/** The values of one side of a comparison, one for each round. */
export type Sample = { values: number[]; unit: string }

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b)

/** Between the two nearest values. */
export const quantile = (values: readonly number[], at: number): number => {
  const ordered = sorted(values)
  const position = (ordered.length - 1) * at
  const low = ordered[Math.floor(position)]
  const high = ordered[Math.ceil(position)]
  if (low === undefined || high === undefined) throw new Error('There is no value to look at.')
  return low + (high - low) * (position - Math.floor(position))
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Half the distance between the quartiles. */
export const spread = (values: readonly number[]): number => (quantile(values, 0.75) - quantile(values, 0.25)) / 2
