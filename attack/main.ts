// `npm run attack`: puts everything hostile into the built server that can be thought of, and says what came of it.
import { parseArgs } from 'node:util'
import { describeMachine } from '../bench/lib/machine.ts'
import { createScope } from '../bench/lib/scope.ts'
import { alignedText, markdownText } from '../bench/lib/table.ts'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'
import { createAttack } from './lib/attack.ts'
import { isMet, type Result } from './lib/row.ts'
import { runRow } from './lib/run-row.ts'
import { rowsOf } from './lib/table.ts'
import { rows } from './rows.ts'

/** What takes longer hangs: its processes are ended, and it fails. */
const rowTimeoutMs = 10 * 60_000

const names = rows.map(({ name }) => name)

const help = `Usage: npm run attack -- [options]

  --only NAME      one row (can be given several times):
                   ${names.join(', ')}
  --quick          fewer tries, and no row that only waits
  --json           every attempt as JSON
  --markdown       the table as Markdown

Ends with 1 when something was not as expected.
`

const readOptions = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const unknown = values.only.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`There is no row ${unknown}. There are ${names.join(', ')}.`)
  return values
}
type Options = ReturnType<typeof readOptions>

const jsonResult = (result: Result) => ({
  name: result.row.name,
  title: result.row.title,
  expected: result.row.expected,
  ok: isMet(result),
  attempts: result.attempts,
})

const main = async ({ quick, only, json, markdown }: Options): Promise<void> => {
  const scope = createScope()
  const leave = (code: number): void => void scope.finish().finally(() => process.exit(code))
  process.once('SIGINT', () => leave(130))
  process.once('SIGTERM', () => leave(143))

  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  ensurePrograms()
  const attack = createAttack({ scope, quick, serverProgram: builtServer, size: quick ? 'quick' : 'full', note })
  const results: Result[] = []
  for (const row of rows) {
    if (only.length > 0 ? !only.includes(row.name) : quick && row.slow === true) continue
    const deadline = setTimeout(() => {
      note(`${row.name}: ended after ${rowTimeoutMs / 60_000} minutes`)
      void scope.close()
    }, rowTimeoutMs)
    results.push(await runRow(attack, row))
    clearTimeout(deadline)
  }

  const machine = await describeMachine()
  if (json) process.stdout.write(`${JSON.stringify({ machine, quick, rows: results.map(jsonResult) }, null, 2)}\n`)
  else {
    const { cpu, cores, system, node, claude } = machine
    const attempts = results.reduce((sum, result) => sum + result.attempts.length, 0)
    process.stdout.write(`${(markdown ? markdownText : alignedText)(rowsOf(results))}\n\n`)
    process.stdout.write(
      `${attempts} attempts in ${results.length} rows. ${cpu}, ${cores} cores, ${system}, Node ${node}, claude ${claude}\n`,
    )
  }
  process.exitCode = results.every(isMet) ? 0 : 1
  await scope.finish()
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
