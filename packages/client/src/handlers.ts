import type { StreamItem } from '@aicm/protocol'
import { AicmError } from './aicm-error.ts'

/** What `on` listens to: the type of a stream item, `'*'` for each of them, or `'failed'` when following ended with an error. */
export type HandlerType = StreamItem['type'] | '*' | 'failed'

export type Handler<T extends HandlerType> = T extends 'failed'
  ? (error: unknown) => void
  : (item: T extends '*' ? StreamItem : Extract<StreamItem, { type: T }>) => void

export type HandlerOptions = {
  /** The `seq` to begin after; without it, what comes from now on. Counts for the first handler of a session handle. */
  after?: number
}

export type Handlers = {
  on<T extends HandlerType>(type: T, handler: Handler<T>, options?: HandlerOptions): () => void
  /** Settles when it is known where the handlers begin: a prompt sent before that might be missed by them. */
  ready(): Promise<unknown>
}

type AnyHandler = { type: HandlerType; call: (value: never) => void }

/** Routes the items of one session to handlers by type. It follows the session while there is a handler. */
export const createHandlers = ({
  newest,
  follow,
}: {
  newest: (signal: AbortSignal) => Promise<number>
  follow: (seq: number, signal: AbortSignal) => AsyncIterable<StreamItem>
}): Handlers => {
  const handlers = new Set<AnyHandler>()
  let following: { start: Promise<number>; controller: AbortController } | undefined

  const dispatch = (types: HandlerType[], value: unknown) => {
    for (const { type, call } of [...handlers]) {
      if (!types.includes(type)) continue
      try {
        // Which value goes to which type is kept by the signature of `on`.
        call(value as never)
      } catch (error) {
        rethrow(error)
      }
    }
  }

  const run = async (start: Promise<number>, signal: AbortSignal) => {
    try {
      for await (const item of follow(await start, signal)) dispatch([item.type, '*'], item)
    } catch (error) {
      // The program closed the client itself: no failure to tell it of.
      if (signal.aborted || (error instanceof AicmError && error.code === 'client_closed')) return
      following = undefined
      if ([...handlers].some(({ type }) => type === 'failed')) dispatch(['failed'], error)
      else rethrow(error)
    }
  }

  return {
    on: (type, call, { after } = {}) => {
      const entry: AnyHandler = { type, call }
      handlers.add(entry)
      if (following === undefined) {
        const controller = new AbortController()
        const start = after === undefined ? newest(controller.signal) : Promise.resolve(after)
        following = { start, controller }
        void run(start, controller.signal)
      }
      return () => {
        handlers.delete(entry)
        if (handlers.size > 0) return
        following?.controller.abort()
        following = undefined
      }
    },
    ready: async () => {
      // A failure here is the handlers' affair.
      await following?.start.catch(() => {})
    },
  }
}

/** Neither swallowed nor in the way of the other handlers: an error nobody handles is the program's, as with any event. */
const rethrow = (error: unknown) =>
  queueMicrotask(() => {
    throw error
  })
