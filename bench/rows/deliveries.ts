import { createHash } from 'node:crypto'
import { fakeTokens } from '@aicm/testing/fake-claude'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { firstMatch, startChild } from '../lib/child.ts'
import { claudeArguments, directEnvironment, promptLine } from '../lib/direct-claude.ts'
import { installBusyClaude } from '../lib/fake-claude.ts'
import { temporaryFolder } from '../lib/folder.ts'
import { interleave } from '../lib/interleave.ts'
import { wordsOf } from '../lib/lines.ts'
import { node, plainEnvironment } from '../lib/programs.ts'
import type { Bench, Result, RowGroup } from '../lib/row.ts'
import { startServer } from '../lib/server.ts'
import type { Plan } from '../programs/subscribers.ts'

const program = (name: string): string => fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))

/** Of busy-claude.mjs. */
const blockEvents = 2000

const textHash = (events: number): string =>
  createHash('sha256')
    .update(fakeTokens(blockEvents).repeat(events / blockEvents))
    .digest('hex')

/** Clients that follow one claude. A round is an answer, from its prompt until the last client has all of it. */
const startClients = async (bench: Bench, home: string, plan: Plan) => {
  const child = await startChild(bench.scope, {
    argv: [node, program('subscribers'), JSON.stringify(plan)],
    env: plainEnvironment(home),
  })
  const words = wordsOf(child)
  await words.next('connected')
  return {
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
    round: async (events: number, prompt: () => Promise<unknown>): Promise<number> => {
      const begun = words.next('begun')
      child.stdin.write('begin\n')
      await begun
      const done = words.next('done')
      const checked = words.next('checked')
      const start = performance.now()
      await prompt()
      await done
      const seconds = (performance.now() - start) / 1000
      if ((await checked) !== textHash(events)) throw new Error('The text that arrived is not the text that was said.')
      return (events * plan.count) / seconds
    },
  }
}

const deliver = async (
  bench: Bench,
  options: { count: number; events: number; rounds: number },
): Promise<Pick<Result, 'ours' | 'baseline'>> => {
  const { count, events, rounds } = options
  await using claude = await installBusyClaude(bench.scope, events)
  await using server = await startServer(bench, claude)
  const { id } = await server.readySession()
  await using ours = await startClients(bench, server.dataDir, {
    url: `${server.url.replace('http', 'ws')}/v1/ws`,
    count,
    headers: { authorization: `Bearer ${server.token}` },
    subscribe: JSON.stringify({ type: 'subscribe', ref: 'follow', sessionId: id }),
    end: '"status":"idle"',
    content: 'frames',
  })

  await using folder = await temporaryFolder(bench.scope)
  await using relay = await startChild(bench.scope, {
    argv: [node, program('bare-relay'), claude.path, ...claudeArguments()],
    env: {
      ...directEnvironment({ home: folder.path, brokerSocket: join(folder.path, 'none'), token: 'none' }),
      ...plainEnvironment(folder.path),
    },
    cwd: folder.path,
  })
  const relayUrl = await firstMatch(relay, /listens on (\S+)/)
  await using theirs = await startClients(bench, folder.path, {
    url: relayUrl.replace('http', 'ws'),
    count,
    headers: {},
    end: '"state":"completed"',
    content: 'lines',
  })

  const prompt = 'Say it all.'
  const values = await interleave({
    rounds,
    ours: () => ours.round(events, () => server.call('POST', `/v1/sessions/${id}/execute`, { prompt })),
    baseline: () => theirs.round(events, () => fetch(relayUrl, { method: 'POST', body: promptLine(prompt) })),
  })
  return {
    ours: { values: values.ours, unit: 'events/s' },
    baseline: { values: values.baseline, unit: 'events/s', what: 'bare pipe → ws relay' },
  }
}

export const oneSubscriber: RowGroup = {
  rows: ['one-subscriber'],
  run: async (bench) => [
    {
      name: 'one-subscriber',
      title: 'events delivered to 1 subscriber',
      ...(await deliver(bench, { count: 1, events: bench.quick ? 60_000 : 200_000, rounds: bench.quick ? 4 : 20 })),
      limit: { of: 'ratio', at: 'least', value: 1.1 },
    },
  ],
}

export const manySubscribers: RowGroup = {
  rows: ['100-subscribers'],
  run: async (bench) => [
    {
      name: '100-subscribers',
      title: 'events delivered to 100 subscribers',
      ...(await deliver(bench, { count: 100, events: bench.quick ? 60_000 : 200_000, rounds: bench.quick ? 3 : 6 })),
      limit: { of: 'ratio', at: 'least', value: 5 },
    },
  ],
}
