/** The cells of a table's rows, by the name in the first of them. */
export const rowsIn = (table: string): Record<string, string[]> =>
  Object.fromEntries(
    table
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/))
      .map(([name = '', ...cells]) => [name, cells]),
  )
