import type { Bench } from '../../bench/lib/row.ts'
import type { Chaos } from '../../chaos/lib/trial.ts'
import type { Target, TargetOptions } from './target.ts'

/** What a row works with. */
export type Attack = Bench &
  Pick<Chaos, 'size' | 'note'> & {
    /** The server that all rows share which leave it as it was. */
    shared(): Promise<Target>
    /** A server of the row's own, for what would disturb others. */
    own(options?: TargetOptions): Promise<Target & AsyncDisposable>
  }

/** One thing that was tried. `expected` may hold alternatives with ` or ` between them. */
export type Attempt = { what: string; expected: string; seen: string; ok: boolean }

/** Notes what was tried. */
export type Try = (what: string, expected: string, seen: string) => void

/** A row of the table. */
export type Row = {
  name: string
  /** What is put in. */
  title: string
  /** What must be. */
  expected: string
  /** Only in a run that may take its time. */
  slow?: boolean
  run(attack: Attack, attempt: Try): Promise<void>
}

export type Result = { row: Row; attempts: Attempt[] }

/** A row that tried nothing has shown nothing. */
export const isMet = ({ attempts }: Result): boolean => attempts.length > 0 && attempts.every(({ ok }) => ok)

/** `401` stands for `401 unauthorized` too. */
export const matches = (expected: string, seen: string): boolean =>
  expected.split(' or ').some((one) => seen === one || seen.startsWith(`${one} `))

/** What is seen of a feature that is not there. */
export const notBuilt = 'not built'
