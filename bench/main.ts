// `npm run bench`: measures what the server promises. See docs/benchmarks.md.
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'
import { describeMachine } from './lib/machine.ts'
import { serverSources } from './lib/programs.ts'
import { isMet, ratioOf, type Result, type RowGroup } from './lib/row.ts'
import { createScope } from './lib/scope.ts'
import { median, spread, type Sample } from './lib/stats.ts'
import { alignedText, markdownText, rowsOf } from './lib/table.ts'
import { rowGroups } from './rows.ts'

/** What takes longer hangs: its processes are ended, and it fails. */
const groupTimeoutMs = 300_000

const names = rowGroups.flatMap((group) => group.rows)

const help = `Usage: npm run bench -- [options]

  --only NAME      one row (can be given several times):
                   ${names.slice(0, 6).join(', ')},
                   ${names.slice(6).join(', ')}
  --quick          fewer rounds and less data
  --json           the figures as JSON
  --markdown       the table as Markdown
  --profile DIR    runs the server from its sources and writes its CPU profiles to DIR

Ends with 1 when a row is missed.
`

const readOptions = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const unknown = values.only.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`There is no row ${unknown}. There are ${names.join(', ')}.`)
  return values
}
type Options = ReturnType<typeof readOptions>

const jsonSample = ({ values, unit }: Sample) => ({
  unit,
  median: median(values),
  spread: spread(values),
  n: values.length,
  values,
})

const jsonResult = (result: Result) => ({
  name: result.name,
  title: result.title,
  ours: jsonSample(result.ours),
  ...(result.baseline === undefined
    ? {}
    : { baseline: { what: result.baseline.what, ...jsonSample(result.baseline) }, ratio: ratioOf(result) }),
  limit: result.limit,
  ok: isMet(result),
})

const isWanted =
  (only: readonly string[]) =>
  (name: string): boolean =>
    only.length === 0 || only.includes(name)

const main = async (options: Options): Promise<void> => {
  const scope = createScope()
  const leave = (code: number): void => void scope.finish().finally(() => process.exit(code))
  process.once('SIGINT', () => leave(130))
  process.once('SIGTERM', () => leave(143))

  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  const { quick, profile } = options
  ensurePrograms()
  const serverProgram = profile === undefined ? builtServer : ['--cpu-prof', `--cpu-prof-dir=${profile}`, serverSources]
  const wanted = isWanted(options.only)
  const results: Result[] = []
  let failed = false

  const measure = async (group: RowGroup): Promise<void> => {
    const start = performance.now()
    const deadline = setTimeout(() => {
      note(`${group.rows.join(', ')}: ended after ${groupTimeoutMs / 1000} s`)
      void scope.close()
    }, groupTimeoutMs)
    try {
      results.push(...(await group.run({ scope, quick, serverProgram })).filter(({ name }) => wanted(name)))
      note(`${group.rows.join(', ')}: measured in ${Math.round((performance.now() - start) / 1000)} s`)
    } catch (error) {
      failed = true
      note(`${group.rows.join(', ')}: ${error instanceof Error ? error.stack : error}`)
    } finally {
      clearTimeout(deadline)
    }
  }
  const load = loadavg()[0] ?? 0
  for (const group of rowGroups) if (group.rows.some(wanted)) await measure(group)

  const machine = { ...(await describeMachine()), load }
  if (options.json)
    process.stdout.write(`${JSON.stringify({ machine, quick, rows: results.map(jsonResult) }, null, 2)}\n`)
  else {
    const { cpu, cores, memoryGiB, system, node, claude, load } = machine
    const described = `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}, claude ${claude}, load before ${load.toFixed(1)}`
    process.stdout.write(`${(options.markdown ? markdownText : alignedText)(rowsOf(results))}\n\n${described}\n`)
  }
  process.exitCode = failed || !results.every(isMet) ? 1 : 0
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
