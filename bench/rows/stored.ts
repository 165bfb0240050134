import type { Session } from '@aicm/protocol'
import { installFakeClaude, installOneAnswerClaude } from '../lib/fake-claude.ts'
import { itemsIn } from '../lib/frames.ts'
import { residentMegabytes } from '../lib/process-figures.ts'
import type { RowGroup } from '../lib/row.ts'
import { startServer, type Server } from '../lib/server.ts'
import { openSocket, promptThrough } from '../lib/socket.ts'

const storedEvents = 10_000

/** A client that was away asks for everything from the beginning. */
export const replay: RowGroup = {
  rows: ['replay'],
  run: async (bench) => {
    await using claude = await installFakeClaude(bench.scope)
    await using server = await startServer(bench, claude)
    const { id } = await server.readySession()
    await using writer = await openSocket(bench.scope, server)
    writer.send({ type: 'subscribe', ref: 'follow', sessionId: id })
    await promptThrough(writer, id).prompt(`@lines(${storedEvents})`)
    const { lastSeq } = await server.call<Session>('GET', `/v1/sessions/${id}`)

    const values: number[] = []
    for (let round = -1; round < (bench.quick ? 5 : 15); round++) {
      await using reader = await openSocket(bench.scope, server)
      const frames = reader.until(`"seq":${lastSeq},`)
      const start = performance.now()
      reader.send({ type: 'subscribe', ref: 'replay', sessionId: id })
      const received = await frames
      if (round >= 0) values.push(performance.now() - start)
      const seqs = itemsIn(received).map((item) => (item.type === 'delta' ? 0 : item.seq))
      if (seqs.length !== lastSeq || seqs.some((seq, at) => seq !== at + 1)) throw new Error('The replay has gaps.')
    }
    return [
      {
        name: 'replay',
        title: `replay of ${lastSeq.toLocaleString('en-US')} stored events`,
        ours: { values, unit: 'ms' },
        limit: { of: 'value', at: 'most', value: 250 },
      },
    ]
  },
}

const tokens = Array.from({ length: 200 }, (_, index) => (index === 0 ? 'tok0' : ` tok${index}`))

/** A streamed answer of 200 tokens with its result, as the CLI writes it. */
export const oneAnswer = [
  { type: 'stream_event', event: { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } },
  ...tokens.map((text) => ({
    type: 'stream_event',
    event: { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
  })),
  {
    type: 'assistant',
    message: { id: 'msg_1', role: 'assistant', content: [{ type: 'text', text: tokens.join('') }] },
  },
  { type: 'result', subtype: 'success', is_error: false, result: tokens.join(''), terminal_reason: 'completed' },
]
  .map((line) => `${JSON.stringify(line)}\n`)
  .join('')

const startedAtOnce = 8

/** A session that has answered a prompt and has no process any more. */
export const hibernate = async (server: Server): Promise<void> => {
  const { id } = await server.call<Session>('POST', '/v1/sessions', {})
  await server.call('POST', `/v1/sessions/${id}/execute`, { prompt: 'Answer, and go.' })
  while (true) {
    const session = await server.call<Session>('GET', `/v1/sessions/${id}`)
    if (session.turns === 1 && session.process === 'none') return
    if (session.status === 'closed') throw new Error(`The session was closed: ${session.reason}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export const idleMemory: RowGroup = {
  rows: ['idle-memory'],
  run: async (bench) => {
    await using claude = await installOneAnswerClaude(bench.scope, oneAnswer)
    await using server = await startServer(bench, claude)
    const before = residentMegabytes(server.pid)
    const count = bench.quick ? 250 : 1000
    let left = count
    await Promise.all(
      Array.from({ length: startedAtOnce }, async () => {
        while (left-- > 0) await hibernate(server)
      }),
    )
    return [
      {
        name: 'idle-memory',
        title: `RSS with ${count.toLocaleString('en-US')} idle sessions without a process`,
        ours: { values: [residentMegabytes(server.pid)], unit: 'MiB' },
        baseline: { values: [before], unit: 'MiB', what: 'the same server before' },
        limit: { of: 'value', at: 'most', value: 200 },
      },
    ]
  },
}
