import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { firstMatch, startChild } from '../lib/child.ts'
import { temporaryFolder } from '../lib/folder.ts'
import { interleave, timed } from '../lib/interleave.ts'
import { cliProgram, node, plainEnvironment, realClaude } from '../lib/programs.ts'
import type { Bench, RowGroup } from '../lib/row.ts'
import { endLeftovers, serverCommand } from '../lib/server.ts'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
const bareServer = fileURLToPath(new URL('../programs/bare-fastify.ts', import.meta.url))

/** Until /readyz says yes; then the program is ended and its end waited for. */
const startUntilReady = async (
  bench: Bench,
  command: { argv: readonly [string, ...string[]]; env: Record<string, string>; cwd?: string },
): Promise<number> => {
  const start = performance.now()
  await using child = await startChild(bench.scope, command)
  const url = await firstMatch(child, /listens on (\S+)/)
  while (!(await fetch(`${url}/readyz`)).ok) await new Promise((resolve) => setTimeout(resolve, 1))
  return performance.now() - start
}

/** Second start: the data folder and the broker are there. */
export const serverStart: RowGroup = {
  rows: ['server-start'],
  run: async (bench) => {
    await using folder = await temporaryFolder(bench.scope)
    await using _ = bench.scope.own(() => endLeftovers(folder.path))
    const server = serverCommand(bench, { dataDir: folder.path, claude: realClaude() })
    const bare = { argv: [node, bareServer] as const, env: plainEnvironment(folder.path) }
    const values = await interleave({
      rounds: bench.quick ? 6 : 15,
      warmUp: 2,
      ours: () => startUntilReady(bench, server),
      baseline: () => startUntilReady(bench, bare),
    })
    return [
      {
        name: 'server-start',
        title: 'server start to /readyz, second start',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: 'bare fastify server' },
        limit: { of: 'ratio', at: 'most', value: 3 },
      },
    ]
  },
}

/** With all that stands before the server: npm, and the look whether anything is missing. */
export const npmStart: RowGroup = {
  rows: ['npm-start'],
  run: async (bench) => {
    await using folder = await temporaryFolder(bench.scope)
    await using _ = bench.scope.own(() => endLeftovers(folder.path))
    const server = serverCommand(bench, { dataDir: folder.path, claude: realClaude() })
    const flags = server.argv.slice(server.argv.indexOf('--port'))
    const env = { ...server.env, PATH: process.env['PATH'] ?? '', npm_config_update_notifier: 'false' }
    const start = (): Promise<number> =>
      startUntilReady(bench, { argv: ['npm', 'start', '--', ...flags], env, cwd: checkout })
    // What is missing in the checkout and in the folder is made by the first.
    await start()
    const values: number[] = []
    for (let round = 0; round < (bench.quick ? 5 : 15); round++) values.push(await start())
    return [
      {
        name: 'npm-start',
        title: 'npm start to /readyz, second start',
        ours: { values, unit: 'ms' },
        limit: { of: 'value', at: 'most', value: 2000 },
      },
    ]
  },
}

const runToEnd = (argv: readonly string[], env: Record<string, string>): Promise<number> =>
  timed(
    () =>
      new Promise<void>((resolve, reject) => {
        const child = spawn(node, argv, { env, stdio: 'ignore' })
        child.once('error', reject)
        child.once('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`node ${argv.join(' ')} ended with ${code}`)),
        )
      }),
  )

export const cliHelp: RowGroup = {
  rows: ['cli-help'],
  run: async (bench) => {
    await using folder = await temporaryFolder(bench.scope)
    const env = plainEnvironment(folder.path)
    const values = await interleave({
      rounds: bench.quick ? 10 : 30,
      warmUp: 3,
      ours: () => runToEnd([cliProgram, '--help'], env),
      baseline: () => runToEnd(['-e', '0'], env),
    })
    return [
      {
        name: 'cli-help',
        title: 'aicm --help',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: 'node -e 0' },
        limit: { of: 'ratio', at: 'most', value: 3 },
      },
    ]
  },
}
