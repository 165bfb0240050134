import { performance } from 'node:perf_hooks'
import type { SessionRecord } from '../storage/session-store.ts'

/** How long a turn may be silent until it counts as hanging, in milliseconds. */
export type SilenceLimits = {
  /** While claude should be talking to the model. */
  turnMs: number
  /** While a tool runs: builds and tests say nothing for long. */
  toolMs: number
}

export type SilenceWatch = {
  /** The process said something. */
  heard(): void
  /** After each change of the session: a turn that runs is watched. */
  observe(): void
  stop(): void
}

/** How soon it is looked again where the model was answering. */
const answerPollMs = 30_000

/**
 * Tells when a turn hangs: nothing was heard for too long, nobody is asked anything, and the model is not sending either
 * (long thinking reaches claude as bytes, and comes out as nothing for minutes). Time is monotonic: a changed clock ends nothing.
 */
export const watchSilence = (options: {
  limits: SilenceLimits
  record(): SessionRecord
  /** See BrokerProcess. */
  sentBytes(sessionId: string): Promise<number | undefined>
  onSilent(silent: { generation: number; turnId: string; forMs: number }): void
}): SilenceWatch => {
  const { limits, record } = options
  let last = performance.now()
  let answered: number | undefined
  let timer: NodeJS.Timeout | undefined

  const running = () => {
    const { turn, process, generation, approvals, ending } = record().state
    if (turn === null || turn.phase === 'waiting' || process !== 'ready' || ending !== undefined) return undefined
    const asked = approvals.some(({ answer }) => answer === null)
    return { turnId: turn.id, generation, asked, limit: turn.openTools.length > 0 ? limits.toolMs : limits.turnMs }
  }

  const arm = (ms: number): void => {
    timer = setTimeout(() => void look().catch(() => arm(limits.turnMs)), ms).unref()
  }

  const look = async (): Promise<void> => {
    timer = undefined
    const before = running()
    if (before === undefined) return
    if (before.asked) last = performance.now()
    const left = before.limit - (performance.now() - last)
    if (left > 0) return arm(left)
    const sent = await options.sentBytes(record().id)
    // Also after a standstill of the whole machine: what has come meanwhile was read while this was asked.
    const now = running()
    if (timer !== undefined || now === undefined) return
    const goesOn = sent !== undefined && sent !== answered
    answered = sent
    if (goesOn) return arm(Math.min(answerPollMs, now.limit))
    const forMs = performance.now() - last
    if (forMs < now.limit) return arm(now.limit - forMs)
    options.onSilent({ generation: now.generation, turnId: now.turnId, forMs })
    arm(now.limit)
  }

  return {
    heard: () => {
      last = performance.now()
    },
    observe: () => {
      const now = running()
      if (now === undefined) {
        clearTimeout(timer)
        timer = undefined
      } else if (timer === undefined) {
        last = performance.now()
        answered = undefined
        arm(now.limit)
      }
    },
    stop: () => clearTimeout(timer),
  }
}
