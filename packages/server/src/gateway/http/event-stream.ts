import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { cursorAfter, formatCursor, type Cursor, type SlowPolicy, type StreamItem } from '@aicm/protocol'
import type { Batch } from '../../session/feed.ts'
import { deliver } from '../deliver.ts'

/** A comment that keeps proxies from closing a quiet stream, and finds out about readers that have gone. */
const heartbeatMs = 15_000
/** What a reader that was cut off has not taken by then, it has no more. */
const lingerMs = 20_000

export const wantsEventStream = (request: FastifyRequest): boolean =>
  (request.headers.accept ?? '').split(',').some((type) => type.trim().startsWith('text/event-stream'))

const eventOf = (item: StreamItem): string =>
  `id: ${formatCursor(cursorAfter(item))}\nevent: ${item.type}\ndata: ${JSON.stringify(item)}\n\n`

/** About so many characters are written at a time: what is not yet written costs nothing while a reader stalls. */
const chunk = 64 * 1024

const chunksOf = (items: StreamItem[]): string[] => {
  const chunks = ['']
  for (const item of items) {
    if ((chunks.at(-1) ?? '').length > chunk) chunks.push('')
    chunks[chunks.length - 1] += eventOf(item)
  }
  return chunks
}

/**
 * Writes a session's stream as server-sent events, each with the cursor behind it as its id. What becomes of a slow reader is
 * its policy's affair (see `deliver`). Ends after the item for which `until` is true, or when the reader goes.
 */
export const sendEventStream = async (options: {
  request: FastifyRequest
  reply: FastifyReply
  follow: (after: Cursor, signal: AbortSignal) => AsyncIterable<Batch>
  after: Cursor
  slow?: SlowPolicy
  until?: (item: StreamItem) => boolean
  /** Items that are not meant for this reader. */
  skip?: (item: StreamItem) => boolean
}): Promise<void> => {
  const { reply } = options
  const gone = new AbortController()
  const { signal } = gone
  const { raw } = reply
  reply.hijack()
  raw.on('close', () => gone.abort())
  raw.writeHead(200, {
    ...reply.getHeaders(),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  } as Record<string, string>)
  const heartbeat = setInterval(() => raw.write(': \n\n'), heartbeatMs)
  const tellBehind = (cursor: Cursor): void =>
    void raw.write(`event: behind\ndata: ${JSON.stringify({ type: 'behind', cursor: formatCursor(cursor) })}\n\n`)

  async function* follow(after: Cursor): AsyncGenerator<Batch, void, void> {
    for await (const batch of options.follow(after, signal)) {
      const items = batch.items.filter((item) => options.skip?.(item) !== true)
      const last = options.until === undefined ? -1 : items.findIndex(options.until)
      yield { ...batch, items: last < 0 ? items : items.slice(0, last + 1) }
      if (last >= 0) return
    }
  }

  try {
    raw.write('retry: 1000\n\n')
    const cutOff = await deliver({
      ...{ follow, after: options.after, slow: options.slow ?? 'resume', signal },
      reader: {
        give: async ({ items }) => {
          let waited = false
          for (const text of chunksOf(items)) {
            if (raw.write(text)) continue
            // What the kernel takes at once counts as waiting until the next turn.
            await setImmediate()
            if (!raw.writableNeedDrain) continue
            waited = true
            await once(raw, 'drain', { signal }).catch(() => undefined)
          }
          return waited
        },
        push: ({ items }) => void raw.write(items.map(eventOf).join('')),
        waiting: () => raw.writableLength,
        behind: tellBehind,
      },
    })
    if (cutOff === undefined) return
    tellBehind(cutOff)
    // Who does not even read that it was cut off.
    const timer = setTimeout(() => raw.destroy(), lingerMs)
    raw.on('close', () => clearTimeout(timer))
  } finally {
    clearInterval(heartbeat)
    gone.abort()
    raw.end()
  }
}
