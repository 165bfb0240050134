import { breakerNames } from '../backend.ts'
import type { BreakerChange } from '../status.ts'
import type { Lane } from './lane.ts'

/** Who asks every few seconds misses none of them. */
const most = 100

export type BreakerChanges = {
  watch(lane: Pick<Lane, 'credential' | 'circuit'>): void
  /** The newest ones, the oldest first. */
  newest(): BreakerChange[]
}

/** Remembers how the circuit breakers of all credentials have changed. */
export const createBreakerChanges = (onChange: (change: BreakerChange) => void): BreakerChanges => {
  const changes: BreakerChange[] = []
  return {
    watch: ({ credential, circuit }) => {
      circuit.onStateChange((state) => {
        const change = { seq: (changes.at(-1)?.seq ?? 0) + 1, credentialId: credential.id, state: breakerNames[state] }
        changes.push(change)
        if (changes.length > most) changes.shift()
        onChange(change)
      })
    },
    newest: () => [...changes],
  }
}
