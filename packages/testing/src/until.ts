const pollMs = 10

/**
 * Waits for a fact that nothing tells of: asks until the answer is neither false nor undefined, and gives it back. Rejects
 * with `what` when it does not become true.
 */
export const until = async <T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 30_000 }: { timeoutMs?: number } = {},
): Promise<Exclude<T, false | undefined>> => {
  const deadline = performance.now() + timeoutMs
  while (true) {
    const answer = await probe()
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
