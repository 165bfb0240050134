import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tokensText } from '@aicm/broker'
import type { Session } from '@aicm/protocol'
import { installOneAnswerClaude } from '../lib/fake-claude.ts'
import { textOfFrames } from '../lib/frames.ts'
import { interleave } from '../lib/interleave.ts'
import { realClaude } from '../lib/programs.ts'
import type { RowGroup } from '../lib/row.ts'
import { startServer, type Server } from '../lib/server.ts'
import { openSocket, promptThrough } from '../lib/socket.ts'
import { textOfLines } from '../lib/stream-json.ts'
import { assertSame } from '../lib/turn.ts'
import { directly } from './real-claude.ts'
import { hibernate, oneAnswer } from './stored.ts'

const shortAnswer = 20
const askShort = `@tokens(${shortAnswer})`

const untilAsleep = async (server: Server, id: string): Promise<void> => {
  while ((await server.call<Session>('GET', `/v1/sessions/${id}`)).process !== 'none')
    await new Promise((resolve) => setTimeout(resolve, 50))
}

/** A prompt to a session that has given its process back. */
export const wake: RowGroup = {
  rows: ['wake'],
  run: async (bench) => {
    await using server = await startServer(bench, realClaude(), { flags: ['--idle-timeout', '1ms'] })
    await using socket = await openSocket(bench.scope, server)
    const { id } = await server.readySession()
    socket.send({ type: 'subscribe', ref: 'follow', sessionId: id })
    const session = promptThrough(socket, id)
    await session.prompt(askShort)

    const cwd = mkdtempSync(`${server.dataDir}/direct-`)
    const conversation = randomUUID()
    {
      await using first = await directly(bench, server, { cwd, conversation: { create: conversation } })
      await first.prompt(askShort)
    }
    const values = await interleave({
      rounds: bench.quick ? 3 : 8,
      ours: async () => {
        await untilAsleep(server, id)
        const turn = await session.prompt(askShort)
        assertSame('The text of the turn', textOfFrames(turn.received), tokensText(shortAnswer))
        return turn.firstTextMs
      },
      baseline: async () => {
        await untilAsleep(server, id)
        const start = performance.now()
        await using direct = await directly(bench, server, { cwd, conversation: { resume: conversation } })
        const started = performance.now() - start
        const turn = await direct.prompt(askShort)
        assertSame('The text by pipes', textOfLines(turn.received), tokensText(shortAnswer))
        return started + turn.firstTextMs
      },
    })
    return [
      {
        name: 'wake',
        title: 'first token of a session that was asleep',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: 'claude --resume started by pipes' },
        limit: { of: 'ratio', at: 'most', value: 1.2 },
      },
    ]
  },
}

/** A new session where a process has been started ahead. */
export const warmSession: RowGroup = {
  rows: ['warm-session'],
  run: async (bench) => {
    await using server = await startServer(bench, realClaude(), { flags: ['--warm-min', '1'] })
    await using socket = await openSocket(bench.scope, server)
    const untilWarm = async (live: number): Promise<void> => {
      while ((await server.call<{ sessions: { processes: number } }>('GET', '/v1/health')).sessions.processes !== live)
        await new Promise((resolve) => setTimeout(resolve, 50))
      // Started is not yet warm: it settles while nobody waits for it.
      await new Promise((resolve) => setTimeout(resolve, 2000))
    }
    let kept = await server.call<Session>('POST', '/v1/sessions', {})
    const values = await interleave({
      rounds: bench.quick ? 3 : 8,
      ours: async () => {
        await untilWarm(2)
        const start = performance.now()
        const { id } = await server.call<Session>('POST', '/v1/sessions', {})
        const created = performance.now() - start
        socket.send({ type: 'subscribe', ref: 'follow', sessionId: id })
        const turn = await promptThrough(socket, id).prompt(askShort)
        assertSame('The text of the turn', textOfFrames(turn.received), tokensText(shortAnswer))
        await server.call('DELETE', `/v1/sessions/${kept.id}`)
        kept = { ...kept, id }
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
        name: 'warm-session',
        title: 'first token of a new session with a process started ahead',
        ours: { values: values.ours, unit: 'ms' },
        baseline: { values: values.baseline, unit: 'ms', what: 'claude started cold by pipes' },
        limit: { of: 'ratio', at: 'most', value: 0.7 },
      },
    ]
  },
}

const reporter = fileURLToPath(new URL('../programs/report-heap.mjs', import.meta.url))

const heapOf = async (server: Server): Promise<number> => {
  const path = join(server.dataDir, 'heap')
  rmSync(path, { force: true })
  process.kill(server.pid, 'SIGUSR2')
  while (true) {
    try {
      return Number(readFileSync(path, 'utf8'))
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** The smallest that its heap becomes while nobody asks anything: sessions leave the memory some seconds after their process. */
const settledHeap = async (server: Server): Promise<number> => {
  let least = Number.POSITIVE_INFINITY
  for (let look = 0; look < 20; look++) {
    least = Math.min(least, await heapOf(server))
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  return least
}

/** What a session that sleeps takes of the server's heap. */
export const sleepingMemory: RowGroup = {
  rows: ['sleeping-memory'],
  run: async (bench) => {
    await using claude = await installOneAnswerClaude(bench.scope, oneAnswer)
    await using server = await startServer(bench, claude, { imports: ['--expose-gc', '--import', reporter] })
    const count = bench.quick ? 250 : 1000
    const answer = async (sessions: number): Promise<number> => {
      for (let done = 0; done < sessions; done += 8)
        await Promise.all(Array.from({ length: Math.min(8, sessions - done) }, () => hibernate(server)))
      return settledHeap(server)
    }
    const before = await answer(50)
    const after = await answer(count)
    return [
      {
        name: 'sleeping-memory',
        title: `heap of the server for a session that sleeps, of ${count.toLocaleString('en-US')}`,
        ours: { values: [(after - before) / count / 1024], unit: 'KiB' },
        limit: { of: 'value', at: 'most', value: 4 },
      },
    ]
  },
}
