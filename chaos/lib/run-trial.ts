import { inspect } from 'node:util'
import type { Chaos, Result, Trial } from './trial.ts'

const most = 12

/** Runs a trial in the size of `chaos`; what it throws is a failure of it. What was wrong is told as well as counted. */
export const runTrial = async (chaos: Chaos, trial: Trial): Promise<Result> => {
  const { name, title, limit } = trial
  const start = performance.now()
  let result: Result
  try {
    result = { name, title, limit, ...(await trial.run(chaos, trial.counts[chaos.size])) }
  } catch (error) {
    const what = inspect(error)
    result = { name, title, limit, count: 0, problems: [{ kind: 'failed', what }] }
  }
  for (const { kind, what } of result.problems.slice(0, most)) chaos.note(`  ${kind}: ${what}`)
  if (result.problems.length > most) chaos.note(`  … and ${result.problems.length - most} more`)
  chaos.note(`${name}: ${Math.round((performance.now() - start) / 1000)} s`)
  return result
}
