// `npm run check`: all that can be said about the sources without running them.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureInstalled } from './lib/install.js'
import { node24, toolEnv } from './lib/node24.js'
import { root } from './lib/root.js'
import { capture } from './lib/run.js'

/** @typedef {{ name: string, tool: string, args: string[], fix: string }} Check */

/** @returns {readonly Check[]} */
const checks = () => [
  { name: 'format', tool: 'oxfmt', args: ['--check'], fix: 'npm run fix' },
  { name: 'lint', tool: 'oxlint', args: ['--deny-warnings'], fix: 'npm run fix, then by hand' },
  { name: 'types', tool: 'tsc', args: ['-p', '.'], fix: 'by hand' },
  { name: 'boundaries', tool: node24(), args: [join('scripts', 'boundaries.js')], fix: 'see scripts/rooms.js' },
  { name: 'dead code', tool: 'knip', args: ['--no-progress'], fix: 'remove it, or name its use in knip.json' },
]

/**
 * Runs all checks, whatever the others say, and prints what each found.
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export const runChecks = async () => {
  const results = await Promise.all(
    checks().map(async ({ name, tool, args, fix }) => ({
      name,
      fix,
      ...(await capture(tool, args, { env: toolEnv() })),
    })),
  )
  for (const { name, fix, ok, output } of results) {
    if (ok) console.log(`✓ ${name}`)
    else console.log(`✗ ${name} (to mend it: ${fix})\n${output.trimEnd()}\n`)
  }
  const failed = results.filter(({ ok }) => !ok).length
  return { passed: results.length - failed, failed }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(root)
  ensureInstalled()
  const { failed } = await runChecks()
  process.exitCode = failed > 0 ? 1 : 0
}
