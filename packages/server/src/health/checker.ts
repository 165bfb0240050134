import type { Health, HealthStatus } from '@aicm/protocol'
import type { Log } from '../lib/log.ts'

/** Looks after the health of the server in the background. */
export type HealthChecker = {
  /** As of the last look; undefined before the first. */
  last(): HealthStatus | undefined
  /** Calls `listener` when the status or its reasons have become others; returns the way to stop it. */
  onChange(listener: (status: HealthStatus) => void): () => void
  /** Looks now, and then every `intervalMs` until `signal`. */
  run(signal: AbortSignal): void
  /** Something has changed: looks at once, or once more behind the look that is under way. */
  lookNow(): void
}

export const createHealthChecker = ({
  health,
  intervalMs,
  log,
}: {
  health: () => Promise<Health>
  intervalMs: number
  log: Log
}): HealthChecker => {
  const listeners = new Set<(status: HealthStatus) => void>()
  let last: HealthStatus | undefined
  let lookNow = (): void => undefined

  const look = async (signal: AbortSignal): Promise<void> => {
    const { status, reasons } = await health()
    const same = status === last?.status && reasons.join('\n') === last.reasons.join('\n')
    if (same || signal.aborted) return
    const first = last === undefined
    last = { status, reasons }
    if (status === 'degraded') log.warn({ reasons }, 'health: degraded')
    else if (!first) log.info({}, 'health: ok again')
    if (first && status === 'ok') return
    for (const listener of listeners) listener(last)
  }

  const lookForEver = async (signal: AbortSignal): Promise<void> => {
    signal.addEventListener('abort', () => lookNow(), { once: true })
    while (!signal.aborted) {
      const wanted = Promise.withResolvers<void>()
      lookNow = wanted.resolve
      await look(signal).catch((error: unknown) => log.error({ err: error }, 'health could not be checked'))
      const timer = setTimeout(lookNow, intervalMs).unref()
      await wanted.promise
      clearTimeout(timer)
    }
  }

  return {
    last: () => last,
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    run: (signal) => void lookForEver(signal),
    lookNow: () => lookNow(),
  }
}
