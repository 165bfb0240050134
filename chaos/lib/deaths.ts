import type { Message } from '@aicm/protocol'
import { isRunning } from '@aicm/testing/processes'
import { quantile } from '../../bench/lib/stats.ts'
import type { Killed } from './session-processes.ts'
import type { Problem } from './trial.ts'

/** From each kill on, in milliseconds: until a client is told of it with the signal, and until nothing of the tree is left. */
export type Deaths = {
  killed(death: Killed): void
  /** What the session's clients are told, each message as it comes. */
  told(message: Message): void
  /** Whether each kill so far was told and nothing of it runs any more. */
  settled(): boolean
}

export type DeathTimes = { toldMs: number[]; goneMs: number[] }

const tellsOfDeath = (message: Message): boolean =>
  (message.type === 'error' && message.message.includes('SIGKILL')) ||
  (message.type === 'progress' && message.kind === 'process_ended' && message.text?.includes('SIGKILL') === true)

/** Of one session. The tree is looked at when its end is told: it is to be gone by then, and what is not is waited for. */
export const watchDeaths = ({ toldMs, goneMs }: DeathTimes): Deaths => {
  const untold: Killed[] = []
  let left = 0

  const look = (death: Killed): void => {
    if (death.pids.some(isRunning)) return void setImmediate(look, death)
    goneMs.push(performance.now() - death.at)
    left--
  }

  return {
    killed: (death) => {
      // It was dying already: that is told once.
      if (untold.at(-1)?.generation === death.generation) return
      untold.push(death)
      left++
    },
    told: (message) => {
      if (!tellsOfDeath(message)) return
      const death = untold.shift()
      if (death === undefined) return
      toldMs.push(performance.now() - death.at)
      look(death)
    },
    settled: () => left === 0,
  }
}

/** Both as median and longest, and each that is past the limit. */
export const judgeDeaths = (
  { toldMs, goneMs }: DeathTimes,
  limitMs: number,
): { figures: string; problems: Problem[] } => {
  const measured = { 'the signal told': toldMs, 'the tree gone': goneMs }
  const figures: string[] = []
  const problems: Problem[] = []
  for (const [what, times] of Object.entries(measured)) {
    figures.push(`${what} after ${[0.5, 1].map((at) => Math.round(quantile(times, at))).join(' / ')} ms`)
    for (const ms of times)
      if (ms > limitMs) problems.push({ kind: 'failed', what: `${what} ${Math.round(ms)} ms after the kill` })
  }
  return { figures: `${figures.join(', ')} (median / max)`, problems }
}
