import { routes, type Accepted, type CompleteMessage, type ContentBlock, type StreamItem } from '@aicm/protocol'
import { isTransient } from './aicm-error.ts'
import { backoffMs, pause } from './backoff.ts'
import type { Call } from './call.ts'
import type { ExecuteRequest, Hub } from './hub.ts'
import type { Timing } from './options.ts'
import { randomUuid } from './uuid.ts'

export type Prompt = string | ContentBlock[]

export type ExecuteOptions = {
  /** The UUID of the turn. The same id again names the same turn: it is not run twice. */
  id?: string
  /** Ends the wait, not the turn (see `interrupt`). The loop then throws the signal's reason. */
  signal?: AbortSignal
}

/**
 * A prompt on its way. It is sent at once, whether or not anyone reads; reading gives the messages and deltas of its
 * turn, from the prompt itself to its `complete`, through any number of reconnects. Leaving the loop leaves the turn running.
 */
export type Execution = AsyncIterable<StreamItem> & {
  readonly turnId: string
  /** Settles when the prompt is on the server's disk, or is refused. */
  readonly accepted: Promise<Accepted>
  /** Reads to the end of the turn. */
  complete(): Promise<CompleteMessage>
}

type ExecutionContext = { call: Call; hub: Hub; timing: Timing; ready?: Promise<unknown> }

/** Above this a prompt goes over HTTP, which has room for images and says properly when it is too much. */
const largePrompt = 256 * 1024

export const startExecution = (
  { call, hub, timing, ready }: ExecutionContext,
  sessionId: string,
  prompt: Prompt,
  { id = randomUuid(), signal }: ExecuteOptions = {},
): Execution => {
  const turnId = id.toLowerCase()
  const body = { id: turnId, ...(typeof prompt === 'string' ? { prompt } : { content: prompt }) }

  const send = async (): Promise<Accepted> => {
    await ready
    return lengthOf(prompt) > largePrompt
      ? overHttp(call, timing, { sessionId, ...body }, signal)
      : hub.execute({ sessionId, ...body }, signal)
  }
  const accepted = send()
  // Whoever reads meets the refusal in the loop; it must not count as unhandled because nobody took the promise.
  accepted.catch(() => {})

  async function* items(): AsyncGenerator<StreamItem, void, undefined> {
    const { seq, turnId: turn } = await accepted
    for await (const item of hub.follow(sessionId, { seq: Math.max(0, seq - 1) }, signal)) {
      if (item.turnId !== turn) continue
      yield item
      if (item.type === 'complete') return
    }
    signal?.throwIfAborted()
  }

  return {
    turnId,
    accepted,
    [Symbol.asyncIterator]: items,
    complete: async () => {
      for await (const item of items()) if (item.type === 'complete') return item
      throw new Error('The stream of a turn ended without its `complete`.')
    },
  }
}

const lengthOf = (prompt: Prompt): number =>
  typeof prompt === 'string'
    ? prompt.length
    : prompt.reduce((sum, block) => sum + (block.type === 'text' ? block.text : block.source.data).length, 0)

const overHttp = async (
  call: Call,
  timing: Timing,
  { sessionId, ...body }: ExecuteRequest,
  signal: AbortSignal = new AbortController().signal,
): Promise<Accepted> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(routes.sessions.execute, { params: { id: sessionId }, body }, { signal })
    } catch (error) {
      if (!isTransient(error) || error.code === 'too_many_requests') throw error
      await pause(
        Math.max(
          backoffMs(attempt, { baseMs: timing.backoffBaseMs, maxMs: timing.backoffMaxMs }),
          (error.retryAfter ?? 0) * 1000,
        ),
        signal,
      )
      signal.throwIfAborted()
    }
  }
}
