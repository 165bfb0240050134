import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { apiErrorBody } from '../api-error.ts'
import { messageOf, newId, usage, type Envelope, type StopReason } from './envelope.ts'
import { eventWriter, type EventWriter } from './event-writer.ts'
import type { Reply, Step } from './reply.ts'

/**
 * Sends a reply as the Messages API streams it. Ends, breaks or leaves hanging the response, whichever the reply wants;
 * rejects with an AbortError when `signal` says that the caller has gone.
 */
export const streamReply = async (
  response: ServerResponse,
  { reply, envelope, signal }: { reply: Reply; envelope: Envelope; signal: AbortSignal },
): Promise<void> => {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  response.flushHeaders()
  const first = reply[0]
  if (first?.kind === 'hang' && first.after === 'headers') return gone(signal)

  const writer = eventWriter(response, signal)
  void writer.event({ type: 'message_start', message: messageOf(envelope) })
  void writer.event({ type: 'ping' })
  await writer.flush()

  let outputTokens = 0
  let index = 0
  let stopReason: StopReason = 'end_turn'
  for (const step of reply) {
    switch (step.kind) {
      case 'text':
      case 'thinking': {
        const pieces = step.pieces.slice(0, Math.max(0, envelope.maxTokens - outputTokens))
        await streamBlock(writer, { step: { ...step, pieces }, index, signal })
        outputTokens += pieces.length
        if (pieces.length < step.pieces.length) stopReason = 'max_tokens'
        index += 1
        break
      }
      case 'tool':
        outputTokens += await streamToolCall(writer, { step, index })
        stopReason = 'tool_use'
        index += 1
        break
      case 'hang':
        await writer.flush()
        return gone(signal)
      case 'reset':
        await writer.flush()
        // The reader takes what has arrived before it sees the break; at once, it may drop both.
        await sleep(50, undefined, { signal })
        response.destroy()
        return
      case 'malformed':
        writer.raw('event: content_block_start\ndata: {"type":"content_block_start","index":\n\n')
        await writer.flush()
        response.end()
        return
      case 'error':
        await writer.event(apiErrorBody(step.status, step.message))
        await writer.flush()
        response.end()
        return
    }
    if (stopReason !== 'end_turn') break
  }
  await writer.event({
    type: 'message_delta',
    delta: { stop_reason: stopReason, stop_sequence: null },
    usage: usage(envelope.inputTokens, outputTokens),
  })
  await writer.event({ type: 'message_stop' })
  await writer.flush()
  response.end()
}

/** Never resolves: rejects when the caller goes away. */
const gone = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort')
  signal.throwIfAborted()
}

type Block = Extract<Step, { kind: 'text' | 'thinking' }>

const streamBlock = async (
  writer: EventWriter,
  { step, index, signal }: { step: Block; index: number; signal: AbortSignal },
): Promise<void> => {
  const isText = step.kind === 'text'
  await writer.event({
    type: 'content_block_start',
    index,
    content_block: isText ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' },
  })
  const { pace } = step
  let due = performance.now()
  for (const [at, piece] of step.pieces.entries()) {
    if (pace !== null && at % pace.size === 0) {
      await writer.flush()
      // By the clock, not by adding up sleeps: timers are late, and 300 tokens would take a second longer.
      const wait = due - performance.now()
      if (wait > 0) await sleep(wait, undefined, { signal })
      due += pace.delayMs
    }
    const delta = isText ? { type: 'text_delta', text: piece } : { type: 'thinking_delta', thinking: piece }
    const behind = writer.event({ type: 'content_block_delta', index, delta })
    if (behind !== undefined) await behind
  }
  if (!isText) {
    await writer.event({
      type: 'content_block_delta',
      index,
      delta: { type: 'signature_delta', signature: scriptedSignature },
    })
  }
  await writer.event({ type: 'content_block_stop', index })
}

/** A thinking block is signed; callers send it back unread. */
export const scriptedSignature = Buffer.from('scripted, not signed by anybody').toString('base64')

const streamToolCall = async (
  writer: EventWriter,
  { step, index }: { step: Extract<Step, { kind: 'tool' }>; index: number },
): Promise<number> => {
  const content_block = { type: 'tool_use', id: newId('toolu'), name: step.name, input: {} }
  await writer.event({ type: 'content_block_start', index, content_block })
  const parts = ['', ...(JSON.stringify(step.input).match(/[\s\S]{1,24}/gu) ?? [])]
  for (const partial_json of parts) {
    await writer.event({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json } })
  }
  await writer.event({ type: 'content_block_stop', index })
  return parts.length
}
