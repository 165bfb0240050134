import { messageOf, newId, usage, type Envelope, type StopReason } from './envelope.ts'
import type { Reply } from './reply.ts'
import { scriptedSignature } from './stream-reply.ts'

/** The same reply as one JSON message, for callers that do not stream. */
export const wholeReply = (reply: Reply, envelope: Envelope) => {
  let outputTokens = 0
  let stopReason: StopReason = 'end_turn'
  const content: Record<string, unknown>[] = []
  for (const step of reply) {
    if (stopReason !== 'end_turn') break
    if (step.kind === 'tool') {
      content.push({ type: 'tool_use', id: newId('toolu'), name: step.name, input: step.input })
      outputTokens += Math.ceil(JSON.stringify(step.input).length / 4)
      stopReason = 'tool_use'
    }
    if (step.kind !== 'text' && step.kind !== 'thinking') continue
    const pieces = step.pieces.slice(0, Math.max(0, envelope.maxTokens - outputTokens))
    const text = pieces.join('')
    content.push(
      step.kind === 'text'
        ? { type: 'text', text }
        : { type: 'thinking', thinking: text, signature: scriptedSignature },
    )
    outputTokens += pieces.length
    if (pieces.length < step.pieces.length) stopReason = 'max_tokens'
  }
  return { ...messageOf(envelope), content, stop_reason: stopReason, usage: usage(envelope.inputTokens, outputTokens) }
}
