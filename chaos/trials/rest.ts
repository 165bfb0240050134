import { isMet, ratioOf, type RowGroup } from '../../bench/lib/row.ts'
import { sleepingMemory, wake, warmSession } from '../../bench/rows/rest.ts'
import { limitText, sampleText } from '../../bench/lib/table.ts'
import type { Trial } from '../lib/trial.ts'

/** A row of the benchmarks that belongs to the proof. */
const measured = (name: string, title: string, limit: string, group: RowGroup): Trial => ({
  name,
  title,
  counts: { full: 1, quick: 1, test: 0 },
  limit,
  run: async (chaos) => {
    const [result] = await group.run(chaos)
    if (result === undefined) return { count: 0, problems: [] }
    const ratio = ratioOf(result)
    const against = result.baseline === undefined ? '' : `, ${sampleText(result.baseline)} ${result.baseline.what}`
    const figures = `${sampleText(result.ours)}${against}${ratio === undefined ? '' : `: ${ratio.toFixed(2)}×`}`
    return {
      count: result.ours.values.length,
      problems: isMet(result) ? [] : [{ kind: 'failed', what: `${figures}, not ${limitText(result)}` }],
      figures,
    }
  },
})

export const hibernation = measured(
  'hibernation',
  'heap of the server for a session that sleeps',
  '≤ 4 KiB',
  sleepingMemory,
)
export const waking = measured('waking', 'first token of a session that was asleep', '≤ 1.2× claude --resume', wake)
export const warmPool = measured(
  'warm-pool',
  'first token of a new session with a spare',
  '≤ 0.7× a cold claude',
  warmSession,
)
