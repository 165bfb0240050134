// `npm run chaos`: kills whatever can be killed, and counts what was lost.
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { describeMachine } from '../bench/lib/machine.ts'
import { createScope } from '../bench/lib/scope.ts'
import { median } from '../bench/lib/stats.ts'
import { alignedText, markdownText } from '../bench/lib/table.ts'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'
import { runTrial } from './lib/run-trial.ts'
import { rowsOf } from './lib/table.ts'
import { countOf, isMet, type Chaos, type Result } from './lib/trial.ts'
import { trials } from './trials.ts'

/** What takes longer hangs: its processes are ended, and it fails. */
const trialTimeoutMs = { full: 25 * 60_000, quick: 5 * 60_000 }

const names = trials.map(({ name }) => name)

const help = `Usage: npm run chaos -- [options]

  --only NAME      one trial (can be given several times):
                   ${names.join(', ')}
  --quick          fewer kills
  --seed NUMBER    the random instants of an earlier run, which printed it
  --json           the figures as JSON
  --markdown       the table as Markdown

Ends with 1 when a trial is missed.
`

const readOptions = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const unknown = values.only.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`There is no trial ${unknown}. There are ${names.join(', ')}.`)
  if (!/^\d{1,9}$/.test(values.seed)) throw new Error(`--seed takes a whole number, not ${values.seed}.`)
  return { ...values, seed: Number(values.seed) }
}
type Options = ReturnType<typeof readOptions>

const jsonResult = ({ recoveryMs = [], ...result }: Result) => ({
  name: result.name,
  title: result.title,
  count: result.count,
  lost: countOf(result, 'lost'),
  doubled: countOf(result, 'doubled'),
  disordered: countOf(result, 'disordered'),
  problems: result.problems,
  ...(recoveryMs.length === 0
    ? {}
    : { recovery: { unit: 'ms', median: median(recoveryMs), max: Math.max(...recoveryMs), n: recoveryMs.length } }),
  figures: result.figures,
  limit: result.limit,
  ok: isMet(result),
})

const main = async (options: Options): Promise<void> => {
  const scope = createScope()
  const leave = (code: number): void => void scope.finish().finally(() => process.exit(code))
  process.once('SIGINT', () => leave(130))
  process.once('SIGTERM', () => leave(143))

  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  const { quick, seed } = options
  ensurePrograms()
  note(`seed ${seed}`)
  const size = quick ? 'quick' : 'full'
  const chaos: Chaos = { scope, quick, serverProgram: builtServer, size, seed, note, orphans: [] }
  const load = loadavg()[0] ?? 0
  const results: Result[] = []
  for (const trial of trials) {
    if (options.only.length > 0 && !options.only.includes(trial.name)) continue
    const deadline = setTimeout(() => {
      note(`${trial.name}: ended after ${trialTimeoutMs[size] / 60_000} minutes`)
      void scope.close()
    }, trialTimeoutMs[size])
    results.push(await runTrial(chaos, trial))
    clearTimeout(deadline)
  }

  const machine = { ...(await describeMachine()), load }
  if (options.json)
    process.stdout.write(`${JSON.stringify({ machine, quick, seed, trials: results.map(jsonResult) }, null, 2)}\n`)
  else {
    const { cpu, cores, memoryGiB, system, node, claude, load } = machine
    const described = `Seed ${seed}. ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}, claude ${claude}, load before ${load.toFixed(1)}`
    process.stdout.write(`${(options.markdown ? markdownText : alignedText)(rowsOf(results))}\n\n${described}\n`)
  }
  process.exitCode = results.every(isMet) ? 0 : 1
}

let options: Options
try {
  options = readOptions()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(2)
}
if (options.help) process.stdout.write(help)
else await main(options)
