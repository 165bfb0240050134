import { inertLine } from './inert.ts'

/** Columns as wide as their widest cell; the last one runs free. */
export const table = (
  head: string[],
  rows: string[][],
  paintHead: (text: string) => string = (text) => text,
): string => {
  const cells = [head, ...rows.map((row) => row.map(inertLine))]
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return [paintHead(lines[0] ?? ''), ...lines.slice(1)].join('\n')
}

/** Names and values, one a line. */
export const fields = (pairs: [name: string, value: string][]): string => {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${inertLine(value)}`.trimEnd()).join('\n')
}

/** How long ago, in the largest unit that fits. */
export const ago = (time: string, now: number = Date.now()): string => {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000))
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`
}
