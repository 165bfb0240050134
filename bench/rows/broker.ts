import { Agent, request, type RequestOptions } from 'node:http'
import { fileURLToPath } from 'node:url'
import { brokerCommand, brokerControl, sessionTokens, socketPaths } from '@aicm/broker'
import { join } from 'node:path'
import { firstMatch, startChild } from '../lib/child.ts'
import { temporaryFolder } from '../lib/folder.ts'
import { interleave } from '../lib/interleave.ts'
import { node, plainEnvironment } from '../lib/programs.ts'
import type { Bench, RowGroup } from '../lib/row.ts'
import { median } from '../lib/stats.ts'

const upstreamProgram = fileURLToPath(new URL('../programs/scripted-upstream.ts', import.meta.url))

/** As large as what the CLI sends with its first prompt. */
const bodyBytes = 50_000
/** So many that a call's beginning and end do not count. */
const tokens = 500_000

type Way = { to: RequestOptions; headers: Record<string, string> }

/** One call. Resolves with the milliseconds until its first byte, and until its end, and with the size of the answer. */
const call = ({ to, headers }: Way, body: string): Promise<{ first: number; whole: number; bytes: number }> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    let first: number | undefined
    let bytes = 0
    const sent = request(
      {
        ...to,
        method: 'POST',
        path: '/v1/messages',
        headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`))
        response.on('data', (chunk: Buffer) => {
          first ??= performance.now() - start
          bytes += chunk.length
        })
        response.once('error', reject)
        response.once('end', () => resolve({ first: first ?? 0, whole: performance.now() - start, bytes }))
      },
    )
    sent.once('error', reject)
    sent.end(body)
  })

const bodyOf = (prompt: string): string =>
  JSON.stringify({
    ...{ model: 'claude-opus-5', max_tokens: 1_000_000, stream: true },
    messages: [{ role: 'user', content: prompt }],
    tools: [{ name: 'Bash', description: 'x'.repeat(bodyBytes) }],
  })

/** A broker with budgets to check and a ledger to write, as a server has it; and the way around it. */
const ways = async (bench: Bench) => {
  await using started = new AsyncDisposableStack()
  const folder = started.use(await temporaryFolder(bench.scope))
  const env = plainEnvironment(folder.path)
  const upstream = started.use(await startChild(bench.scope, { argv: [node, upstreamProgram], env }))
  const url = await firstMatch(upstream, /listens on (\S+)/)
  const dir = join(folder.path, 'broker')
  started.use(await startChild(bench.scope, { argv: brokerCommand(dir), env }))
  const control = brokerControl(dir)
  while ((await control.status().catch(() => undefined)) === undefined)
    await new Promise((resolve) => setTimeout(resolve, 20))
  const budget = { day: { usd: 1e6, tokens: 1e12 }, month: { usd: 1e6 } }
  await control.configure({
    mode: 'live',
    credentials: [{ id: 'bench', userId: null, upstream: url, kind: 'api-key', value: 'none' }],
    budgets: { server: budget, everybody: budget },
  })
  const { hostname, port } = new URL(url)
  const token = sessionTokens(dir).give({ sessionId: 'ses_1', userId: 'usr_1' })
  const agent = (): Agent => new Agent({ keepAlive: true })
  const through: Way = { to: { socketPath: socketPaths(dir).api, agent: agent() }, headers: { 'x-api-key': token } }
  const direct: Way = { to: { hostname, port, agent: agent() }, headers: { 'x-api-key': 'none' } }
  const resources = started.move()
  return { through, direct, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

export const brokerRows: RowGroup = {
  rows: ['broker-first-byte', 'broker-stream'],
  run: async (bench) => {
    await using both = await ways(bench)
    const firstByte = async (way: Way): Promise<number> => {
      const taken: number[] = []
      for (let times = 0; times < 50; times++) taken.push((await call(way, bodyOf('@text(hello)'))).first)
      return median(taken)
    }
    const megabytes = async (way: Way): Promise<number> => {
      const { whole, bytes } = await call(way, bodyOf(`@tokens(${tokens})`))
      return bytes / 1000 / whole
    }
    const first = await interleave({
      rounds: bench.quick ? 5 : 15,
      ours: () => firstByte(both.through),
      baseline: () => firstByte(both.direct),
    })
    const stream = await interleave({
      rounds: bench.quick ? 5 : 31,
      warmUp: 3,
      ours: () => megabytes(both.through),
      baseline: () => megabytes(both.direct),
    })
    return [
      {
        name: 'broker-first-byte',
        title: 'what the broker adds until the first byte',
        ours: { values: first.ours.map((ms, round) => ms - (first.baseline[round] ?? 0)), unit: 'ms' },
        limit: { of: 'value', at: 'most', value: 3 },
      },
      {
        name: 'broker-stream',
        title: `a stream of ${tokens.toLocaleString('en')} tokens through the broker`,
        ours: { values: stream.ours, unit: 'MB/s' },
        baseline: { values: stream.baseline, unit: 'MB/s', what: 'directly from the same scripted API' },
        limit: { of: 'ratio', at: 'least', value: 0.9 },
      },
    ]
  },
}
