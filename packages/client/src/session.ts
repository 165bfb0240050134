import { routes, type Cursor, type Output, type Resources, type Session, type StreamItem } from '@aicm/protocol'
import type { Call } from './call.ts'
import { startExecution, type ExecuteOptions, type Execution, type Prompt } from './execution.ts'
import { createHandlers, type Handler, type HandlerOptions, type HandlerType } from './handlers.ts'
import type { Hub } from './hub.ts'
import type { Timing } from './options.ts'

export type EventsOptions = {
  /** Begin after this `seq` or cursor (`cursorAfter(item)` of the last item taken); without it, at the beginning. */
  after?: number | Cursor
  /** Ends the loop quietly. */
  signal?: AbortSignal
}

/** A handle on one session. It holds nothing open by itself. */
export type SessionHandle = {
  readonly id: string
  execute(prompt: Prompt, options?: ExecuteOptions): Execution
  /** The session's log after a cursor, live text included, then what comes, for ever: through reconnects, each item once. */
  events(options?: EventsOptions): AsyncIterable<StreamItem>
  /** Interrupts the running turn; refused with `no_turn_running` when there is none. */
  interrupt(): Promise<Output<typeof routes.sessions.interrupt>>
  close(): Promise<Session>
  info(): Promise<Session>
  /** What its process takes of the machine just now, and what it may take. */
  resources(): Promise<Resources>
  /** Calls `handler` with each item of that type; returns the way to stop it. */
  on<T extends HandlerType>(type: T, handler: Handler<T>, options?: HandlerOptions): () => void
}

export const createSessionHandle = (
  { call, hub, timing }: { call: Call; hub: Hub; timing: Timing },
  id: string,
): SessionHandle => {
  const params = { id }
  const handlers = createHandlers({
    newest: async (signal) => (await call(routes.sessions.get, { params }, { signal })).lastSeq,
    follow: (seq, signal) => hub.follow(id, { seq }, signal),
  })

  return {
    id,
    execute: (prompt, options) => startExecution({ call, hub, timing, ready: handlers.ready() }, id, prompt, options),
    events: ({ after = 0, signal } = {}) => ({
      [Symbol.asyncIterator]: () => hub.follow(id, typeof after === 'number' ? { seq: after } : after, signal),
    }),
    interrupt: () => call(routes.sessions.interrupt, { params }),
    close: () => call(routes.sessions.close, { params }),
    info: () => call(routes.sessions.get, { params }),
    resources: () => call(routes.sessions.resources, { params }),
    on: handlers.on,
  }
}
