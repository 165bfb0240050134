import { quantile } from '../../bench/lib/stats.ts'
import { countOf, isMet, type Result } from './trial.ts'

const milliseconds = (value: number): string => `${Math.round(value).toLocaleString('en-US')} ms`

const recovery = ({ recoveryMs = [] }: Result): string =>
  recoveryMs.length === 0 ? '–' : [0.5, 1].map((at) => milliseconds(quantile(recoveryMs, at))).join(' / ')

const header = ['trial', 'count', 'lost', 'doubled', 'out of order', 'recovery median / max', 'also', 'limit', '']

const cells = (result: Result): string[] => [
  result.title,
  result.count.toLocaleString('en-US'),
  ...(['lost', 'doubled', 'disordered'] as const).map((kind) => `${countOf(result, kind)}`),
  recovery(result),
  result.figures ?? '–',
  result.limit,
  isMet(result) ? 'ok' : 'MISSED',
]

export const rowsOf = (results: readonly Result[]): string[][] => [header, ...results.map(cells)]
