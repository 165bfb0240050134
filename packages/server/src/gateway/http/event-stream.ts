import { once } from 'node:events'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { cursorAfter, formatCursor, type StreamItem } from '@aicm/protocol'
import type { Batch } from '../../session/feed.ts'

/** A comment that keeps proxies from closing a quiet stream, and finds out about readers that have gone. */
const heartbeatMs = 15_000

export const wantsEventStream = (request: FastifyRequest): boolean =>
  (request.headers.accept ?? '').split(',').some((type) => type.trim().startsWith('text/event-stream'))

const eventOf = (item: StreamItem): string =>
  `id: ${formatCursor(cursorAfter(item))}\nevent: ${item.type}\ndata: ${JSON.stringify(item)}\n\n`

/**
 * Writes a session's stream as server-sent events, each with the cursor behind it as its id. Waits for a reader that is
 * slow. Ends after the item for which `until` is true, or when the reader goes.
 */
export const sendEventStream = async (options: {
  request: FastifyRequest
  reply: FastifyReply
  status?: number
  stream: (signal: AbortSignal) => AsyncIterable<Batch>
  until?: (item: StreamItem) => boolean
  /** Items that are not meant for this reader. */
  skip?: (item: StreamItem) => boolean
}): Promise<void> => {
  const { reply } = options
  const gone = new AbortController()
  const { raw } = reply
  reply.hijack()
  raw.on('close', () => gone.abort())
  raw.writeHead(options.status ?? 200, {
    ...reply.getHeaders(),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  } as Record<string, string>)
  const heartbeat = setInterval(() => raw.write(': \n\n'), heartbeatMs)
  const write = async (text: string): Promise<void> => {
    if (!raw.write(text) && !gone.signal.aborted)
      await once(raw, 'drain', { signal: gone.signal }).catch(() => undefined)
  }
  try {
    await write('retry: 1000\n\n')
    for await (const { items } of options.stream(gone.signal)) {
      const wanted = items.filter((item) => options.skip?.(item) !== true)
      const last = options.until === undefined ? -1 : wanted.findIndex(options.until)
      await write((last < 0 ? wanted : wanted.slice(0, last + 1)).map(eventOf).join(''))
      if (last >= 0) break
    }
  } finally {
    clearInterval(heartbeat)
    gone.abort()
    raw.end()
  }
}
