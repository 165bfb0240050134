import { isMet, type Result } from './row.ts'

const header = ['input', 'attempts', 'expected', 'seen', '']

const mostKinds = 4

/** What was seen, the most frequent first; of a missed row what was wrong. */
const seenText = ({ attempts }: Result): string => {
  const wrong = attempts.filter(({ ok }) => !ok)
  if (wrong.length > 0) {
    const told = wrong.slice(0, 3).map(({ what, seen }) => `${what}: ${seen.split('\n', 1)[0]}`)
    return [`${wrong.length} not as expected`, ...told].join('; ')
  }
  const counts = new Map<string, number>()
  for (const { seen } of attempts) counts.set(seen, (counts.get(seen) ?? 0) + 1)
  const kinds = [...counts].toSorted(([, a], [, b]) => b - a)
  const told = kinds.slice(0, mostKinds).map(([seen, count]) => (count === 1 ? seen : `${seen} ×${count}`))
  return [...told, ...(kinds.length > mostKinds ? [`${kinds.length - mostKinds} more kinds`] : [])].join(', ')
}

const cells = (result: Result): string[] => [
  result.row.title,
  `${result.attempts.length}`,
  result.row.expected,
  seenText(result),
  isMet(result) ? 'ok' : 'MISSED',
]

export const rowsOf = (results: readonly Result[]): string[][] => [
  header,
  // A pipe would be a column's end in Markdown.
  ...results.map((result) => cells(result).map((cell) => cell.replaceAll('|', '¦'))),
]
