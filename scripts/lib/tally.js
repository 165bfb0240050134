/**
 * @typedef {object} Report what we read of vitest's JSON report
 * @property {number} numTotalTests
 * @property {{ name: string, status: string, message?: string, assertionResults: { fullName: string, status: string }[] }[]} testResults
 */

/**
 * Counts a run. Also failures: a file that could not be loaded, an error outside any test, a run without tests and, where
 * skips are forbidden, each skipped test.
 * @param {{ report: Report, ok: boolean, forbidSkips: boolean }} run `ok`: vitest ended with exit code 0
 * @returns {{ passed: number, failed: number, problems: string[] }}
 */
export const tally = ({ report, ok, forbidSkips }) => {
  const tests = report.testResults.flatMap((file) => file.assertionResults)
  const passed = tests.filter(({ status }) => status === 'passed').length
  const failures = tests.filter(({ status }) => status === 'failed').map(({ fullName }) => `failed: ${fullName}`)
  const broken = report.testResults
    .filter((file) => file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed'))
    .map((file) => `could not run: ${file.name}${file.message ? `: ${file.message}` : ''}`)
  const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed')
  const forbidden = forbidSkips ? skipped.map(({ fullName }) => `skipped, which is forbidden here: ${fullName}`) : []
  const problems = [...failures, ...broken, ...forbidden]
  if (tests.length === 0) problems.push('no test was run')
  if (!ok && problems.length === 0) problems.push('vitest failed outside any test: see its output above')
  return { passed, failed: problems.length, problems }
}
