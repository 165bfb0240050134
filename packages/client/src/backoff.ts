/** How long to wait before try number `attempt` (0 is the first retry): exponential, capped, full jitter. */
export const backoffMs = (
  attempt: number,
  { baseMs, maxMs }: { baseMs: number; maxMs: number },
  random: () => number = Math.random,
): number => random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30))

/**
 * Waits. Returns early, without throwing, when the signal aborts, or when a browser says that the network is back.
 */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const browser = typeof globalThis.addEventListener === 'function'
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      if (browser) globalThis.removeEventListener('online', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (browser) globalThis.addEventListener('online', done)
  })
