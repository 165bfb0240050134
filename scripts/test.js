// `npm test`: installs what is missing, then checks, builds and tests everything. Runs on Node 20.
// `npm test -- e2e/login` passes its arguments to vitest and leaves the checks out.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureInstalled } from './lib/install.js'
import { node24, toolEnv } from './lib/node24.js'
import { root } from './lib/root.js'
import { run } from './lib/run.js'
import { ensureSystemParts } from './lib/system.js'
import { tally } from './lib/tally.js'
import { ensurePrograms } from './lib/artifacts.js'

const only = process.argv.slice(2)
const forbidSkips = process.env.AICM_FORBID_SKIPS === '1'

/** @param {string[]} missing */
const runTests = (missing) => {
  const folder = mkdtempSync(join(tmpdir(), 'aicm-test-'))
  try {
    const report = join(folder, 'report.json')
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...only]
    const env = { ...toolEnv(), ...(missing.length > 0 && { AICM_MISSING: missing.join(',') }) }
    const ok = run(node24(), [vitest, ...args], { env })
    return tally({ report: JSON.parse(readFileSync(report, 'utf8')), ok, forbidSkips })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const main = async () => {
  process.chdir(root)
  ensureInstalled()
  const missing = ensureSystemParts()
  let [passed, failed] = [0, 0]
  if (only.length === 0) {
    const { runChecks } = await import('./check.js')
    const checks = await runChecks()
    passed += checks.passed
    failed += checks.failed
  }
  try {
    // For all tests at once: two that build would get in each other's way.
    ensurePrograms()
  } catch (error) {
    console.log(`✗ ${error instanceof Error ? error.message : error}`)
    failed++
  }
  const tests = runTests(missing)
  for (const problem of tests.problems) console.log(`✗ ${problem}`)
  passed += tests.passed
  failed += tests.failed
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 ? 1 : 0
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  // Also when nothing came to be tested, the last line is the tally.
  console.log('0 passed, 1 failed')
  process.exitCode = 1
}
