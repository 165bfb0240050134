import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'

/** Events of at most about this size leave in one write: one event each, but not one system call each. */
const batch = 16 * 1024

export type EventWriter = {
  /** Adds an event; sends what has gathered when it is enough. Waits while the reader is behind. */
  event: (data: { type: string; [field: string]: unknown }) => Promise<void> | void
  /** Adds text as it is, valid or not. */
  raw: (text: string) => void
  /** Resolves when everything so far is with the operating system. */
  flush: () => Promise<void>
}

/** Server-sent events on a response. Rejects with an AbortError once `signal` says that the reader is gone. */
export const eventWriter = (response: ServerResponse, signal: AbortSignal): EventWriter => {
  let gathered = ''

  const send = async () => {
    const text = gathered
    gathered = ''
    signal.throwIfAborted()
    if (!response.write(text)) await once(response, 'drain', { signal })
    // A reader that keeps up must not keep everybody else waiting.
    else await setImmediate()
  }
  return {
    event: (data) => {
      gathered += `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
      return gathered.length < batch ? undefined : send()
    },
    raw: (text) => {
      gathered += text
    },
    flush: async () => {
      const text = gathered
      gathered = ''
      signal.throwIfAborted()
      if (text !== '') await new Promise<void>((done) => response.write(text, () => done()))
    },
  }
}
