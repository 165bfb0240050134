import type { Cursor, SlowPolicy, Tokens } from '@aicm/protocol'
import type { TokenStore } from './tokens.ts'

/** The part of the standard WebSocket that is used, so that the `ws` package fits too. */
export type WebSocketLike = {
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  addEventListener(type: 'error', listener: (event: unknown) => void): void
}

/** In milliseconds. */
export type Timing = {
  /** Without `hello` by then an attempt to connect is given up. */
  connectMs: number
  pingMs: number
  /** After so much silence a connection counts as dead. */
  deadMs: number
  backoffBaseMs: number
  backoffMaxMs: number
  /** How long the connection stays open when nothing uses it. */
  idleMs: number
}

/** A reader that is further behind than this is resubscribed from its own cursor once it has caught up. */
export type QueueLimits = { items: number; bytes: number }

export type ClientOptions = {
  /** Where the server is, `http://127.0.0.1:2426`; in a browser `''` is the page's own origin. */
  url: string
  /** A fixed token: an API key, or an access token, which expires … */
  token?: string
  /** … or a login, which the client keeps going: what `login` gave, or where the tokens are kept … */
  tokens?: Tokens | TokenStore
  /** … or where to get the present token: asked before every request and every connection. */
  getToken?: () => string | undefined | Promise<string | undefined>
  fetch?: typeof globalThis.fetch
  WebSocket?: new (url: string) => WebSocketLike
  timing?: Partial<Timing>
  queueLimits?: QueueLimits
  /**
   * What the server does when this client takes a session's stream slower than it comes; `resume` when absent. In each case
   * readers get every message once, and only live text is left out.
   */
  slow?: SlowPolicy
  /** With `resume`: the server says that this client fell behind, and where. What comes next is read from the log. */
  onBehind?: (behind: { sessionId: string; cursor: Cursor }) => void
}

export const defaultTiming: Timing = {
  connectMs: 15_000,
  pingMs: 20_000,
  deadMs: 40_000,
  backoffBaseMs: 250,
  backoffMaxMs: 10_000,
  idleMs: 1_000,
}

export const defaultQueueLimits: QueueLimits = { items: 10_000, bytes: 8 * 1024 * 1024 }

/** The server's address as a base for paths: with a slash at its end, without query and fragment. */
export const baseUrl = (url: string): URL => {
  const here = typeof location === 'undefined' ? undefined : location.origin
  const base = new URL(url === '' ? '/' : url, here)
  base.search = ''
  base.hash = ''
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return base
}
