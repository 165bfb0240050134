import { median, type Sample } from './stats.ts'
import type { Scope } from './scope.ts'

export type Limit = { at: 'most' | 'least'; value: number }

/** What was measured for one row of the table. */
export type Result = {
  name: string
  title: string
  ours: Sample
  baseline?: Sample & { what: string }
  /** Of the ratio to the baseline, or of the value itself. */
  limit: Limit & { of: 'ratio' | 'value' }
}

export type Bench = {
  scope: Scope
  /** Fewer rounds and less data. */
  quick: boolean
  /** The server's program for its Node, after what else Node is told, such as --cpu-prof. */
  serverProgram: readonly string[]
}

/** Rows that are measured together, because they share what they need. */
export type RowGroup = { rows: readonly string[]; run(bench: Bench): Promise<Result[]> }

/** Ours over the baseline: how many times as long, or as many. */
export const ratioOf = ({ ours, baseline }: Result): number | undefined =>
  baseline === undefined ? undefined : median(ours.values) / median(baseline.values)

export const isMet = (result: Result): boolean => {
  const figure = result.limit.of === 'ratio' ? (ratioOf(result) ?? Number.NaN) : median(result.ours.values)
  return result.limit.at === 'most' ? figure <= result.limit.value : figure >= result.limit.value
}
