import { isMet, ratioOf, type Result } from './row.ts'
import { median, spread, type Sample } from './stats.ts'

const figure = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))

export const sampleText = ({ values, unit }: Sample): string =>
  values.length < 2
    ? `${figure(median(values))} ${unit}`
    : `${figure(median(values))} ${unit} ±${figure(spread(values))} (n ${values.length})`

export const limitText = ({ limit }: Result): string =>
  `${limit.at === 'most' ? '≤' : '≥'} ${figure(limit.value)}${limit.of === 'ratio' ? '×' : ''}`

const header = ['row', 'ours', 'baseline', 'ratio', 'limit', '']

const cells = (result: Result): string[] => {
  const ratio = ratioOf(result)
  return [
    result.title,
    sampleText(result.ours),
    result.baseline === undefined ? '–' : `${sampleText(result.baseline)}, ${result.baseline.what}`,
    ratio === undefined ? '–' : `${ratio.toFixed(3)}×`,
    limitText(result),
    isMet(result) ? 'ok' : 'MISSED',
  ]
}

/** Columns with spaces between, for a terminal. */
export const alignedText = (lines: readonly string[][]): string => {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The first line is the header. */
export const markdownText = ([first = [], ...lines]: readonly string[][]): string =>
  [first, first.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')

export const rowsOf = (results: readonly Result[]): string[][] => [header, ...results.map(cells)]
