export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Does a number of things in a few lanes beside each other: each lane takes the next when it is done with its last. */
export const inLanes = async (
  lanes: number,
  count: number,
  run: (share: number, lane: number) => Promise<void>,
): Promise<void> => {
  const used = Math.min(lanes, count)
  const shares = Array.from({ length: used }, (_, lane) => Math.floor((count + lane) / used))
  await Promise.all(shares.map(run))
}
