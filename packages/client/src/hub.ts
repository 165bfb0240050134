import type { Accepted, ContentBlock, Cursor, DownMessage, SlowPolicy, StreamItem, UpMessage } from '@aicm/protocol'
import { formatCursor } from '@aicm/protocol'
import { AicmError, isTransient, refusalError } from './aicm-error.ts'
import { backoffMs } from './backoff.ts'
import type { Connection } from './connection.ts'
import { createConsumer, type Consumer } from './consumer.ts'
import type { QueueLimits, Timing } from './options.ts'

/** Many sessions, many readers, one connection. */
export type Hub = {
  /** Everything of a session after `from`, then what comes, each item once; ends when the signal aborts. */
  follow(sessionId: string, from: Cursor, signal?: AbortSignal): AsyncGenerator<StreamItem, void, undefined>
  /** Sends a prompt, and again after each reconnect, until the server has accepted or refused it. */
  execute(prompt: ExecuteRequest, signal?: AbortSignal): Promise<Accepted>
  onOpen(): void
  onMessage(message: DownMessage, bytes: number): void
  onTooBig(): void
  /** Ends all readers and requests with this error. */
  fail(error: unknown): void
  /** The same, for ever: whoever comes later gets this error too. */
  close(error: unknown): void
}

export type ExecuteRequest = { sessionId: string; id: string; prompt?: string; content?: ContentBlock[] }

/** What is wanted of one session: its local readers share one subscription, opened at the lowest of their cursors. */
type Feed = {
  sessionId: string
  consumers: Set<Consumer>
  /** Whose answer is awaited or stands; undefined when there is no subscription on this connection. */
  ref: string | undefined
  /** What comes is of `ref`: if something is missing it is a gap, not a remainder of the subscription before. */
  confirmed: boolean
  /** Subscriptions in a row that brought nothing but gaps. */
  gaps: number
  timer: ReturnType<typeof setTimeout> | undefined
}

type Request = {
  message: UpMessage
  resolve: (accepted: Accepted) => void
  reject: (error: unknown) => void
}

const maxGaps = 8

export const createHub = ({
  connection,
  timing,
  queueLimits,
  slow,
}: {
  connection: Pick<Connection, 'start' | 'stop' | 'send'>
  timing: Timing
  queueLimits: QueueLimits
  slow?: SlowPolicy
}): Hub => {
  const feeds = new Map<string, Feed>()
  const requests = new Map<string, Request>()
  let refs = 0
  let idle: ReturnType<typeof setTimeout> | undefined
  let closed: { error: unknown } | undefined
  // Sessions that were subscribed on this connection: what is still on its way may belong to an earlier subscription.
  const subscribedHere = new Set<string>()

  const nextRef = (): string => `${(refs += 1)}`

  const need = () => {
    clearTimeout(idle)
    idle = undefined
    connection.start()
  }
  const release = () => {
    if (feeds.size > 0 || requests.size > 0) return
    clearTimeout(idle)
    idle = setTimeout(connection.stop, timing.idleMs)
  }

  /** (Re)opens the subscription of a feed where its slowest reader is; takes it back when none reads. */
  const subscribe = (feed: Feed) => {
    clearTimeout(feed.timer)
    feed.timer = undefined
    const { sessionId } = feed
    if (feed.ref !== undefined) {
      feed.ref = undefined
      connection.send({ type: 'unsubscribe', ref: nextRef(), sessionId })
    }
    const cursors = [...feed.consumers].filter((consumer) => consumer.live()).map((consumer) => consumer.cursor())
    if (cursors.length === 0) return
    const ref = nextRef()
    feed.confirmed = !subscribedHere.has(sessionId)
    const after = formatCursor(lowest(cursors))
    if (connection.send({ type: 'subscribe', ref, sessionId, after, ...(slow === undefined ? {} : { slow }) })) {
      feed.ref = ref
      subscribedHere.add(sessionId)
    }
  }

  const subscribeLater = (feed: Feed, attempt: number) => {
    clearTimeout(feed.timer)
    const delay = backoffMs(attempt, { baseMs: timing.backoffBaseMs, maxMs: timing.backoffMaxMs })
    feed.timer = setTimeout(() => subscribe(feed), delay)
  }

  const failFeed = (feed: Feed, error: unknown) => {
    clearTimeout(feed.timer)
    feeds.delete(feed.sessionId)
    for (const consumer of feed.consumers) consumer.end(error)
    feed.consumers.clear()
    release()
  }

  const onItems = (feed: Feed, items: StreamItem[], bytes: number) => {
    const share = bytes / Math.max(1, items.length)
    let gap = false
    let full = false
    for (const consumer of feed.consumers)
      for (const item of items) {
        if (!consumer.live()) break
        const offered = consumer.offer(item, share)
        if (offered === 'taken') feed.gaps = 0
        if (offered === 'full') full = true
        if (offered !== 'gap') continue
        // Before the answer to `subscribe` this is from the subscription before it, and what is missing is still to come.
        if (feed.confirmed) gap = true
        break
      }
    if (gap && feed.gaps >= maxGaps) return failFeed(feed, streamGap(feed.sessionId))
    if (gap) {
      feed.gaps += 1
      feed.confirmed = false
      if (feed.gaps === 1) subscribe(feed)
      else subscribeLater(feed, feed.gaps)
    } else if (full && ![...feed.consumers].some((consumer) => consumer.live())) subscribe(feed)
  }

  const join = (sessionId: string, from: Cursor): { consumer: Consumer; leave: () => void } => {
    const feed = feeds.get(sessionId) ?? {
      sessionId,
      consumers: new Set(),
      ref: undefined,
      confirmed: false,
      gaps: 0,
      timer: undefined,
    }
    feeds.set(sessionId, feed)
    const consumer = createConsumer({ from, limits: queueLimits, onCaughtUp: () => subscribe(feed) })
    feed.consumers.add(consumer)
    need()
    subscribe(feed)
    return {
      consumer,
      leave: () => {
        if (!feed.consumers.delete(consumer) || feed.consumers.size > 0) return
        subscribe(feed)
        feeds.delete(sessionId)
        release()
      },
    }
  }

  const settle = (ref: string): Request | undefined => {
    const request = requests.get(ref)
    requests.delete(ref)
    release()
    return request
  }

  const onRefused = (ref: string | undefined, error: AicmError) => {
    if (ref === undefined) return
    const request = requests.get(ref)
    if (request !== undefined) {
      if (error.code !== 'not_ready') return settle(ref)?.reject(error)
      setTimeout(() => requests.has(ref) && connection.send(request.message), timing.backoffBaseMs)
      return
    }
    for (const feed of feeds.values()) {
      if (feed.ref !== ref) continue
      feed.ref = undefined
      if (!isTransient(error)) return failFeed(feed, error)
      feed.gaps += 1
      return subscribeLater(feed, feed.gaps)
    }
  }

  const fail = (error: unknown) => {
    for (const feed of [...feeds.values()]) failFeed(feed, error)
    for (const ref of [...requests.keys()]) settle(ref)?.reject(error)
    clearTimeout(idle)
    connection.stop()
  }

  return {
    async *follow(sessionId, from, signal) {
      if (signal?.aborted === true) return
      if (closed !== undefined) throw closed.error
      const { consumer, leave } = join(sessionId, from)
      signal?.addEventListener('abort', consumer.stop)
      try {
        while (true) {
          const item = await consumer.next()
          if (item === undefined) return
          yield item
        }
      } finally {
        signal?.removeEventListener('abort', consumer.stop)
        leave()
      }
    },

    execute: (prompt, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        if (closed !== undefined) throw closed.error
        const ref = nextRef()
        const message = { type: 'execute', ref, ...prompt } as const
        const abort = () => settle(ref)?.reject(signal?.reason)
        const forget = () => signal?.removeEventListener('abort', abort)
        signal?.addEventListener('abort', abort)
        requests.set(ref, {
          message,
          resolve: (accepted) => (forget(), resolve(accepted)),
          reject: (error) => (forget(), reject(error)),
        })
        need()
        connection.send(message)
      }),

    onOpen: () => {
      subscribedHere.clear()
      for (const { message } of requests.values()) connection.send(message)
      for (const feed of feeds.values()) {
        feed.ref = undefined
        subscribe(feed)
      }
    },

    onMessage: (message, bytes) => {
      switch (message.type) {
        case 'events': {
          const feed = feeds.get(message.sessionId)
          if (feed !== undefined) onItems(feed, message.items, bytes)
          return
        }
        case 'subscribed': {
          const feed = feeds.get(message.sessionId)
          if (feed?.ref === message.ref) feed.confirmed = true
          return
        }
        case 'unsubscribed': {
          // Answers to our own carry a ref. Without one the server has ended it: asking again tells why.
          const feed = feeds.get(message.sessionId)
          if (feed === undefined || message.ref !== undefined) return
          feed.ref = undefined
          feed.gaps += 1
          return subscribeLater(feed, feed.gaps)
        }
        case 'accepted':
          return settle(message.ref)?.resolve({ turnId: message.turnId, seq: message.seq })
        case 'error':
          return onRefused(message.ref, refusalError(message.error))
      }
    },

    onTooBig: () => {
      // Which one it was is not said; sent again it would break the connection again and again.
      const [largest] = [...requests].toSorted(([, a], [, b]) => sizeOf(b.message) - sizeOf(a.message))
      const code = 'payload_too_large'
      if (largest !== undefined)
        settle(largest[0])?.reject(
          new AicmError({ code, message: 'The prompt is too large for the server.', status: 413 }),
        )
    },

    fail,
    close: (error) => {
      closed ??= { error }
      fail(error)
    },
  }
}

const sizeOf = (message: UpMessage): number => JSON.stringify(message).length

/** One reader resumes in the middle of a block; several start at the last whole message that all of them have. */
const lowest = (cursors: Cursor[]): Cursor => {
  const [only] = cursors
  return cursors.length === 1 && only !== undefined ? only : { seq: Math.min(...cursors.map(({ seq }) => seq)) }
}

const streamGap = (sessionId: string): AicmError =>
  new AicmError({
    code: 'stream_gap',
    message: `The server keeps leaving out messages of session ${sessionId}.`,
    hint: 'Read the log with GET /v1/sessions/{id}/events, and look into the log of the server.',
  })
