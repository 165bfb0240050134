import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Session } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { WebSocket } from 'ws'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { residentMegabytes } from '../../bench/lib/process-figures.ts'
import { median } from '../../bench/lib/stats.ts'
import { createOnce, sendPrompt } from '../lib/traffic.ts'
import { openServer, type MortalServer } from '../lib/server.ts'
import type { Chaos, Problem, Trial } from '../lib/trial.ts'
import { wait } from '../lib/wait.ts'

const limits = { megabytes: 20, latency: 2 }
const seconds = { full: 60, quick: 10, test: 4 }
/** Before each measurement: buffers fill, the heap finds its size. */
const warmUpMs = { full: 15_000, quick: 8000, test: 3000 }
/** The server ends a connection that answers no ping for 25 seconds: a reader that never reads comes again before. */
const readerLifeMs = { least: 10_000, more: 10_000 }
const pingEveryMs = 20
/** Loaded into the server: at this signal it collects all garbage, so that what is left is what it holds. */
const collector = fileURLToPath(new URL('../programs/collect.mjs', import.meta.url))
const collectEveryMs = 1000
/** A collection takes some tens of milliseconds, and other threads give the memory back. */
const collectionMs = 250
/**
 * Some megabytes a second, so that the system's own buffers of a connection are soon full, in pieces large enough for the machine
 * to have time left: how long a ping takes on one that has none tells nothing of the readers.
 */
const talkPrompt = Array(6).fill('@pieces(100,3000,1)').join(' ')
const talkEveryMs = 250

const openSocket = async (server: MortalServer, sessionId: string): Promise<WebSocket> => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${server.token()}` },
    perMessageDeflate: false,
  })
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  socket.on('error', () => undefined)
  const { lastSeq } = await server.call<Session>('GET', `/v1/sessions/${sessionId}`)
  socket.send(JSON.stringify({ type: 'subscribe', ref: 'follow', sessionId, after: `${lastSeq}` }))
  return socket
}

/** Keeps a session talking until `signal`: prompt after prompt. */
const talk = async (server: MortalServer, sessionId: string, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    const { queued } = await server.call<Session>('GET', `/v1/sessions/${sessionId}`)
    if (queued < 2) await sendPrompt(server, sessionId, randomUUID(), talkPrompt)
    await wait(talkEveryMs)
  }
}

/** Asks for the stream and takes nothing of it; comes again in time. Ends with `signal`. */
const neverRead = async (
  server: MortalServer,
  sessionId: string,
  random: () => number,
  signal: AbortSignal,
): Promise<void> => {
  while (!signal.aborted) {
    const lifeMs = readerLifeMs.least + random() * readerLifeMs.more
    const socket = await openSocket(server, sessionId)
    socket.pause()
    const born = performance.now()
    while (!signal.aborted && performance.now() - born < lifeMs) await wait(100)
    socket.terminate()
  }
}

/** A reader that keeps up: how long its pings take, milliseconds, beside the server's memory in that time. */
const measure = async (
  server: MortalServer,
  sessionId: string,
  ms: number,
): Promise<{ latency: number; megabytes: number[]; bytes: number }> => {
  const socket = await openSocket(server, sessionId)
  const times: number[] = []
  const megabytes: number[] = []
  let bytes = 0
  let answered: () => void = () => undefined
  socket.on('message', (frame: Buffer) => {
    bytes += frame.length
    if (frame.subarray(0, 16).includes('"pong"')) answered()
  })
  const end = performance.now() + ms
  while (performance.now() < end) {
    const sent = performance.now()
    const pong = new Promise<void>((resolve) => (answered = resolve))
    socket.send(JSON.stringify({ type: 'ping', ref: 'latency' }))
    await pong
    times.push(performance.now() - sent)
    if (times.length % 20 === 0) megabytes.push(residentMegabytes(server.pid()))
    await wait(pingEveryMs)
  }
  socket.terminate()
  return { latency: median(times), megabytes, bytes }
}

/** The server's memory without garbage, megabytes, once a second. */
const measureHeld = async (server: MortalServer, ms: number): Promise<number[]> => {
  const megabytes: number[] = []
  const end = performance.now() + ms
  while (performance.now() < end) {
    process.kill(server.pid(), 'SIGUSR2')
    await wait(collectionMs)
    megabytes.push(residentMegabytes(server.pid()))
    await wait(collectEveryMs - collectionMs)
  }
  return megabytes
}

const range = (megabytes: readonly number[]): string =>
  [Math.min(...megabytes), Math.max(...megabytes)].map(Math.round).join('–')

/** How far it was from its middle at most. */
const spread = (megabytes: readonly number[]): number => {
  const middle = median(megabytes)
  return Math.max(...megabytes.map((value) => Math.abs(value - middle)))
}

const judge = (before: number, during: number, held: readonly number[]): Problem[] => [
  ...(spread(held) > limits.megabytes
    ? [{ kind: 'failed' as const, what: `what the server holds moved by ${spread(held)} MB` }]
    : []),
  ...(during > before * limits.latency
    ? [{ kind: 'failed' as const, what: `a ping took ${during} ms instead of ${before}` }]
    : []),
]

const runWith = async (chaos: Chaos, count: number) => {
  const random = seeded(chaos.seed)
  await using claude = await installFakeClaude(chaos.scope)
  await using server = await openServer(chaos, claude)
  await server.begin({ nodeArguments: ['--expose-gc', '--import', collector] })
  const { id } = await createOnce(server)
  const over = new AbortController()
  const talking = talk(server, id, over.signal)
  // Waited for at the end.
  talking.catch(() => undefined)
  const readers: Promise<void>[] = []
  try {
    const ms = seconds[chaos.size] * 1000
    await wait(warmUpMs[chaos.size])
    const before = await measure(server, id, ms)
    const heldBefore = await measureHeld(server, Math.min(ms, 10_000))
    for (let reader = 0; reader < count; reader++) {
      const never = neverRead(server, id, random, over.signal)
      never.catch(() => undefined)
      readers.push(never)
    }
    await wait(warmUpMs[chaos.size])
    const during = await measure(server, id, ms)
    return { before, during, heldBefore, held: await measureHeld(server, ms) }
  } finally {
    over.abort()
    await Promise.all([talking, ...readers])
    await server.closeSessions()
  }
}

export const slowReaders: Trial = {
  name: 'slow-readers',
  title: 'subscribers that never read, while a session talks and somebody else reads it',
  counts: { full: 200, quick: 200, test: 0 },
  limit: `RSS without garbage ± ${limits.megabytes} MB, latency of others ≤ ${limits.latency}×`,
  run: async (chaos, count) => {
    const { before, during, heldBefore, held } = await runWith(chaos, count)
    const moved = (megabytes: number[]): string => `${range(megabytes)} MB (± ${Math.round(spread(megabytes))})`
    return {
      count,
      problems: judge(before.latency, during.latency, held),
      figures: `RSS without garbage ${moved(heldBefore)} before, ${moved(held)} with them; left alone ${moved(before.megabytes)} before, ${moved(during.megabytes)} with them, in ${seconds[chaos.size]} s each; ping ${before.latency.toFixed(2)} → ${during.latency.toFixed(2)} ms, ${Math.round(during.bytes / 1e6)} MB of text`,
    }
  },
}
