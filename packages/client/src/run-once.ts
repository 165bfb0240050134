import type { CompleteMessage, CreateSession, StreamItem } from '@aicm/protocol'
import type { SessionHandle } from './session.ts'

export type RunOptions = CreateSession & {
  signal?: AbortSignal
  /** Sees each item of the turn as it comes. */
  onItem?: (item: StreamItem) => void
}

export type RunResult = { sessionId: string; turnId: string; complete: CompleteMessage }

/**
 * Makes a session, runs the prompt, closes the session. Done from here and not by POST /v1/execute, because a turn may
 * take hours and one HTTP request does not live that long; this goes on through reconnects.
 */
export const runOnce = async (
  client: {
    sessions: { create(options: CreateSession): Promise<{ id: string }> }
    session(id: string): Pick<SessionHandle, 'execute' | 'close'>
  },
  prompt: string,
  { signal, onItem, ...options }: RunOptions = {},
): Promise<RunResult> => {
  signal?.throwIfAborted()
  const { id } = await client.sessions.create(options)
  const session = client.session(id)
  try {
    const execution = session.execute(prompt, signal === undefined ? {} : { signal })
    for await (const item of execution) {
      onItem?.(item)
      if (item.type === 'complete') return { sessionId: id, turnId: execution.turnId, complete: item }
    }
    throw new Error('The stream of a turn ended without its `complete`.')
  } finally {
    // The answer, or the reason why there is none, matters more than a session that could not be closed.
    await session.close().catch(() => {})
  }
}
