import type { Bench } from '../../bench/lib/row.ts'

/** `test` is the short form that `npm test` runs: without the trials whose count is 0 there, as they only measure time or memory. */
export type Size = 'full' | 'quick' | 'test'

/** Everything that must not be. `lost`, `doubled` and `disordered` are counted; `failed` is whatever else went wrong. */
export type Problem = { kind: 'lost' | 'doubled' | 'disordered' | 'failed'; what: string }

/** What a trial works with. */
export type Chaos = Bench & {
  size: Size
  seed: number
  note(text: string): void
  /** Sessions' processes that outlived their sessions, of all trials so far. */
  orphans: number[]
}

export type Outcome = {
  /** How often it was tried: kills, cuts, sessions. */
  count: number
  problems: Problem[]
  /** From the start of each new server until it was ready, milliseconds. */
  recoveryMs?: number[]
  /** What else was measured, in words. */
  figures?: string
}

/** A row of the table. */
export type Trial = {
  name: string
  title: string
  counts: Record<Size, number>
  /** What must be, besides nothing lost, doubled or out of order. */
  limit: string
  /** The same of the short form, where it leaves times out. */
  shortLimit?: string
  /** `count` is the one for this size. */
  run(chaos: Chaos, count: number): Promise<Outcome>
}

export type Result = Outcome & { name: string; title: string; limit: string }

/** A trial that was never tried has shown nothing. */
export const isMet = ({ count, problems }: Result): boolean => count > 0 && problems.length === 0

export const countOf = ({ problems }: Result, kind: Problem['kind']): number =>
  problems.filter((problem) => problem.kind === kind).length
