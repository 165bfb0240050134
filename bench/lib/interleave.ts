/**
 * Measures both sides in turn, so that what else the machine does meets both alike. The warm-up round is not counted.
 * Each side returns its figure for one round.
 */
export const interleave = async (options: {
  rounds: number
  warmUp?: number
  /** Before each measurement: what the last one has left behind goes on for a while, and would be the next one's loss. */
  restMs?: number
  ours: (round: number) => Promise<number>
  baseline: (round: number) => Promise<number>
}): Promise<{ ours: number[]; baseline: number[] }> => {
  const { rounds, warmUp = 1, restMs = 0 } = options
  const taken = { ours: [] as number[], baseline: [] as number[] }
  for (let round = -warmUp; round < rounds; round++) {
    await rest(restMs)
    const ours = await options.ours(round)
    await rest(restMs)
    const baseline = await options.baseline(round)
    if (round < 0) continue
    taken.ours.push(ours)
    taken.baseline.push(baseline)
  }
  return taken
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds that `act` takes. */
export const timed = async (act: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await act()
  return performance.now() - start
}
