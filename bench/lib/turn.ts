/** One turn as a client saw it: milliseconds since its prompt was sent, and the bytes to check afterwards. */
export type Turn = { firstTextMs: number; wholeMs: number; received: Buffer[] }

/** A side of a comparison that answers prompts. */
export type Prompted = { prompt(text: string): Promise<Turn> }

export const assertSame = (what: string, actual: string, expected: string): void => {
  if (actual === expected) return
  let at = 0
  while (actual[at] === expected[at]) at++
  throw new Error(
    `${what} differs at ${at}: ${JSON.stringify(actual.slice(at, at + 40))} instead of ${JSON.stringify(expected.slice(at, at + 40))}` +
      ` (${actual.length} and ${expected.length} characters)`,
  )
}
