import { sessionTokens, socketPaths, tokensText } from '@aicm/broker'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import type { Session } from '@aicm/protocol'
import { directEnvironment, startDirectClaude, type DirectClaude } from '../lib/direct-claude.ts'
import { textOfFrames } from '../lib/frames.ts'
import { interleave } from '../lib/interleave.ts'
import { cpuSeconds } from '../lib/process-figures.ts'
import { realClaude } from '../lib/programs.ts'
import type { Bench, RowGroup } from '../lib/row.ts'
import { startServer, type Server } from '../lib/server.ts'
import { openSocket, promptThrough } from '../lib/socket.ts'
import { textOfLines } from '../lib/stream-json.ts'
import { assertSame } from '../lib/turn.ts'

const viaPipes = 'same CLI by pipes'

/** The same CLI with the same flags and the same scripted API, through the same broker. */
export const directly = (
  bench: Bench,
  server: Server,
  again?: { cwd: string; conversation: { create: string } | { resume: string } },
): Promise<DirectClaude> => {
  const brokerDir = join(server.dataDir, 'broker')
  const home = join(server.dataDir, 'direct-home')
  const env = directEnvironment({
    home,
    brokerSocket: socketPaths(brokerDir).api,
    token: sessionTokens(brokerDir).give({ sessionId: 'ses_direct', userId: 'usr_direct' }),
  })
  return startDirectClaude(bench.scope, {
    program: realClaude().path,
    cwd: again?.cwd ?? mkdtempSync(`${server.dataDir}/direct-`),
    conversation: again?.conversation,
    env,
  })
}

const shortAnswer = 20
/** The CLI works on for some tens of milliseconds after its result. */
const afterTurnMs = 100
const askShort = `@tokens(${shortAnswer})`

/**
 * Two claudes differ from each other by some percent for as long as they live (what was compiled when, what was collected): as
 * many pairs of them, in a run, as it takes for that to be no more than the noise.
 */
const pairs = { full: 12, quick: 1 }

/** A prompt to a session that has answered one before. */
export const secondPrompt: RowGroup = {
  rows: ['second-prompt'],
  run: async (bench) => {
    await using server = await startServer(bench, realClaude())
    await using socket = await openSocket(bench.scope, server)
    const values: { ours: number[]; baseline: number[] } = { ours: [], baseline: [] }
    for (let pair = 0; pair < (bench.quick ? pairs.quick : pairs.full); pair++) {
      await using direct = await directly(bench, server)
      const { id } = await server.readySession()
      socket.send({ type: 'subscribe', ref: 'follow', sessionId: id })
      const session = promptThrough(socket, id)
      const of = await interleave({
        rounds: 20,
        warmUp: 3,
        restMs: afterTurnMs,
        ours: async () => {
          const turn = await session.prompt(askShort)
          assertSame('The text of the turn', textOfFrames(turn.received), tokensText(shortAnswer))
          return turn.firstTextMs
        },
        baseline: async () => {
          const turn = await direct.prompt(askShort)
          assertSame('The text by pipes', textOfLines(turn.received), tokensText(shortAnswer))
          return turn.firstTextMs
        },
      })
      values.ours.push(...of.ours)
      values.baseline.push(...of.baseline)
      await server.call('DELETE', `/v1/sessions/${id}`)
    }
    return [
      {
        name: 'second-prompt',
        title: 'first token by WebSocket, second prompt',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: viaPipes },
        limit: { of: 'ratio', at: 'most', value: 1.1 },
      },
    ]
  },
}

/** From the wish for a session to the first token of its first prompt. */
export const newSession: RowGroup = {
  rows: ['new-session'],
  run: async (bench) => {
    await using server = await startServer(bench, realClaude())
    await using socket = await openSocket(bench.scope, server)
    const values = await interleave({
      rounds: bench.quick ? 4 : 12,
      restMs: afterTurnMs,
      ours: async () => {
        const start = performance.now()
        const { id } = await server.call<Session>('POST', '/v1/sessions', {})
        const created = performance.now() - start
        socket.send({ type: 'subscribe', ref: 'follow', sessionId: id })
        const turn = await promptThrough(socket, id).prompt(askShort)
        assertSame('The text of the turn', textOfFrames(turn.received), tokensText(shortAnswer))
        await server.call('DELETE', `/v1/sessions/${id}`)
        return created + turn.firstTextMs
      },
      baseline: async () => {
        const start = performance.now()
        await using direct = await directly(bench, server)
        const started = performance.now() - start
        const turn = await direct.prompt(askShort)
        assertSame('The text by pipes', textOfLines(turn.received), tokensText(shortAnswer))
        return started + turn.firstTextMs
      },
    })
    return [
      {
        name: 'new-session',
        title: 'first token of a new session',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: 'claude started cold by pipes' },
        limit: { of: 'ratio', at: 'most', value: 1.1 },
      },
    ]
  },
}

const longAnswer = 20_000

/** A long answer as fast as the CLI gives it, and what the server's part in it costs. Each round has new processes. */
export const wholeTurn: RowGroup = {
  rows: ['whole-turn', 'server-cpu'],
  run: async (bench) => {
    await using server = await startServer(bench, realClaude())
    await using socket = await openSocket(bench.scope, server)
    const cpu: number[] = []
    const values = await interleave({
      rounds: bench.quick ? 3 : 8,
      ours: async (round) => {
        const { id } = await server.readySession()
        socket.send({ type: 'subscribe', ref: 'follow', sessionId: id })
        const session = promptThrough(socket, id)
        await session.prompt(askShort)
        const before = cpuSeconds(server.pid)
        const turn = await session.prompt(`@tokens(${longAnswer})`)
        if (round >= 0) cpu.push((cpuSeconds(server.pid) - before) * (10_000 / longAnswer))
        assertSame('The text of the turn', textOfFrames(turn.received), tokensText(longAnswer))
        await server.call('DELETE', `/v1/sessions/${id}`)
        return turn.wholeMs
      },
      baseline: async () => {
        await using direct = await directly(bench, server)
        await direct.prompt(askShort)
        const turn = await direct.prompt(`@tokens(${longAnswer})`)
        assertSame('The text by pipes', textOfLines(turn.received), tokensText(longAnswer))
        return turn.wholeMs
      },
    })
    return [
      {
        name: 'whole-turn',
        title: 'whole turn of 20,000 tokens',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: viaPipes },
        limit: { of: 'ratio', at: 'most', value: 1.3 },
      },
      {
        name: 'server-cpu',
        title: 'CPU of the server per 10,000 events of it',
        ours: { values: cpu, unit: 's' },
        limit: { of: 'value', at: 'most', value: 0.15 },
      },
    ]
  },
}
