export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Shares `count` out among a few lanes, and runs them side by side. Where one fails, after all have ended. */
export const inLanes = async (
  lanes: number,
  count: number,
  run: (share: number, lane: number) => Promise<void>,
): Promise<void> => {
  const used = Math.min(lanes, count)
  const shares = Array.from({ length: used }, (_, lane) => Math.floor((count + lane) / used))
  const ended = await Promise.allSettled(shares.map(run))
  for (const lane of ended) if (lane.status === 'rejected') throw lane.reason
}
