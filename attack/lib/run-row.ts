import { matches, type Attack, type Attempt, type Result, type Row } from './row.ts'

const most = 12

/** Runs a row; what it throws is an attempt that was not as expected. What was not is told as well as counted. */
export const runRow = async (attack: Attack, row: Row): Promise<Result> => {
  const start = performance.now()
  const attempts: Attempt[] = []
  try {
    await row.run(attack, (what, expected, seen) =>
      attempts.push({ what, expected, seen, ok: matches(expected, seen) }),
    )
  } catch (error) {
    const seen = error instanceof Error ? (error.stack ?? error.message) : String(error)
    attempts.push({ what: 'the row itself', expected: 'an end', seen, ok: false })
  }
  const wrong = attempts.filter(({ ok }) => !ok)
  for (const { what, expected, seen } of wrong.slice(0, most))
    attack.note(`  ${what}: expected ${expected}, saw ${seen}`)
  if (wrong.length > most) attack.note(`  … and ${wrong.length - most} more`)
  attack.note(
    `${row.name}: ${attempts.length - wrong.length} of ${attempts.length} as expected, ${Math.round((performance.now() - start) / 100) / 10} s`,
  )
  return { row, attempts }
}
