import { applyItems, emptyTranscript, type Client, type Transcript } from '@aicm/client'
import type { StreamItem } from '@aicm/protocol'

/** What is known of a session's log, and why following it ended, if it did. */
export type FeedState = { transcript: Transcript; error: unknown }

export type Feed = {
  state: () => FeedState
  subscribe: (listener: () => void) => () => void
  /** Follows the log while at least one user of the feed wants it; returns the way to stop. */
  follow: () => () => void
  /** After an error: tries again. */
  again: () => void
}

export type Feeds = {
  of: (sessionId: string) => Feed
  drop: (sessionId: string) => void
  clear: () => void
}

type Options = {
  client: Pick<Client, 'session'>
  noteError: (error: unknown) => void
  /** New messages that lists are interested in. */
  onNews?: (news: { approvals: boolean; sessions: boolean }) => void
}

/** So many conversations are kept when nobody looks at them: going back to one shows it at once. */
const kept = 8

export const createFeeds = (options: Options): Feeds => {
  const feeds = new Map<string, Feed>()
  return {
    of(sessionId) {
      const feed = feeds.get(sessionId) ?? createFeed(sessionId, options)
      // Most recently used last.
      feeds.delete(sessionId)
      feeds.set(sessionId, feed)
      for (const oldest of feeds.keys()) {
        if (feeds.size <= kept) break
        feeds.delete(oldest)
      }
      return feed
    },
    drop: (sessionId) => void feeds.delete(sessionId),
    clear: () => feeds.clear(),
  }
}

const createFeed = (sessionId: string, { client, noteError, onNews }: Options): Feed => {
  const listeners = new Set<() => void>()
  let state: FeedState = { transcript: emptyTranscript, error: undefined }
  let arrived: StreamItem[] = []
  let scheduled = false
  let users = 0
  let stop: AbortController | undefined

  const change = (next: FeedState) => {
    state = next
    for (const listener of listeners) listener()
  }
  const flush = () => {
    scheduled = false
    const items = arrived
    arrived = []
    const transcript = applyItems(state.transcript, items)
    if (transcript !== state.transcript) change({ ...state, transcript })
    const has = (type: StreamItem['type']) => items.some((item) => item.type === type)
    const approvals = has('approval')
    const sessions = approvals || has('status') || has('prompt') || has('complete')
    if (sessions) onNews?.({ approvals, sessions })
  }
  /** At most once a frame, however fast the text comes. */
  const take = (item: StreamItem) => {
    arrived.push(item)
    if (scheduled) return
    scheduled = true
    if (typeof document === 'undefined' || document.hidden) setTimeout(flush, 100)
    else requestAnimationFrame(flush)
  }
  const run = async (signal: AbortSignal) => {
    // The last whole message is where to go on: blocks that were growing come again, and only what is new is taken.
    const after = state.transcript.seq
    try {
      for await (const item of client.session(sessionId).events({ after, signal })) take(item)
    } catch (error) {
      if (signal.aborted) return
      noteError(error)
      change({ ...state, error })
    }
  }

  const start = () => {
    stop?.abort()
    stop = new AbortController()
    if (state.error !== undefined) change({ ...state, error: undefined })
    void run(stop.signal)
  }

  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    follow() {
      users += 1
      if (users === 1) start()
      let left = false
      return () => {
        if (left) return
        left = true
        users -= 1
        if (users === 0) stop?.abort()
      }
    },
    again() {
      if (users > 0 && state.error !== undefined) start()
    },
  }
}
