import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { cursorAfter, formatCursor, type Cursor, type SlowPolicy, type StreamItem } from '@aicm/protocol'
import type { UserQuotas } from '../../quotas/quotas.ts'
import type { Batch } from '../../session/feed.ts'
import { batchesOf, type Batches } from '../../session/follow.ts'
import { deliver } from '../deliver.ts'

/**
 * A reader that takes nothing for so long is gone, or will come again by its cursor. One that has vanished without a word is
 * found by the system's own probes (keep-alive), which only run while nothing is sent: so comments, which keep proxies from
 * closing a quiet stream, are rare.
 */
const pulse = { everyMs: 5000, deadMs: 25_000, commentMs: 45_000 }
/** What a reader that was cut off has not taken by then, it has no more. */
const lingerMs = 20_000
/** And what one who may read no more has not taken by then. */
const dismissMs = 500

export const wantsEventStream = (request: FastifyRequest): boolean =>
  request.headers.accept?.includes('text/event-stream') === true &&
  request.headers.accept.split(',').some((type) => type.trim().startsWith('text/event-stream'))

/** Calls back once an answer has ended or its reader has gone, be it already. */
const onceClosed = (raw: ServerResponse | Http2ServerResponse, then: () => void): void => {
  // An answer of HTTP/2 does not know of itself whether it has gone.
  if ('stream' in raw ? raw.stream.destroyed : raw.destroyed) then()
  else raw.once('close', then)
}

/** Counts an answer as a connection of its user's, until it has closed. Before anything is done: it may be one too many. */
export const countConnection = async (quotas: UserQuotas, userId: string, { raw }: FastifyReply): Promise<void> => {
  const leave = await quotas.connection(userId)
  onceClosed(raw, leave)
}

const eventOf = (item: StreamItem): string =>
  `id: ${formatCursor(cursorAfter(item))}\nevent: ${item.type}\ndata: ${JSON.stringify(item)}\n\n`

/** About so many characters are written at a time: what is not yet written costs nothing while a reader stalls. */
const chunk = 64 * 1024

const chunksOf = (items: StreamItem[]): Buffer[] => {
  const chunks: Buffer[] = []
  let text = ''
  for (const item of items) {
    text += eventOf(item)
    if (text.length < chunk) continue
    chunks.push(Buffer.from(text))
    text = ''
  }
  if (text !== '') chunks.push(Buffer.from(text))
  return chunks
}

const partOf = (batch: Batch, items: StreamItem[]): Batch => ({ ...batch, items, last: items.at(-1) })

/** Made once for all the readers that take the batch. */
const made = new WeakMap<Batch, Buffer[]>()

const bytesOf = (batch: Batch): Buffer[] => {
  const known = made.get(batch)
  if (known !== undefined) return known
  const chunks = chunksOf(batch.items)
  made.set(batch, chunks)
  return chunks
}

/**
 * Writes a session's stream as server-sent events, each with the cursor behind it as its id. What becomes of a slow reader is
 * its policy's affair (see `deliver`). Ends after the item for which `until` is true, or when the reader goes.
 */
export const sendEventStream = async (options: {
  request: FastifyRequest
  reply: FastifyReply
  follow: (after: Cursor, signal: AbortSignal) => Batches
  after: Cursor
  slow?: SlowPolicy
  until?: (item: StreamItem) => boolean
  /** Items that are not meant for this reader. */
  skip?: (item: StreamItem) => boolean
  /** Calls back when the reader may read no more; returns the way to stop. */
  watch: (lost: () => void) => () => void
}): Promise<void> => {
  const { reply, skip, until } = options
  const gone = new AbortController()
  const { signal } = gone
  const { raw } = reply
  reply.hijack()
  // Perhaps before anybody listened for that.
  onceClosed(raw, () => gone.abort())
  if (signal.aborted) return
  raw.writeHead(200, {
    ...reply.getHeaders(),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  } as Record<string, string>)
  let taken = performance.now()
  let commented = taken
  raw.on('drain', () => (taken = performance.now()))
  const heartbeat = setInterval(() => {
    const now = performance.now()
    if (raw.writableLength === 0) taken = now
    else if (now - taken > pulse.deadMs) raw.destroy()
    if (now - commented < pulse.commentMs) return
    commented = now
    raw.write(': \n\n')
  }, pulse.everyMs)
  const tellBehind = (cursor: Cursor): void =>
    void raw.write(`event: behind\ndata: ${JSON.stringify({ type: 'behind', cursor: formatCursor(cursor) })}\n\n`)

  const follow = (after: Cursor): Batches => {
    const batches = options.follow(after, signal)
    let over = false
    const next = async (): Promise<Batch | undefined> => {
      const batch = over ? undefined : ((await batches.next()).value ?? undefined)
      if (batch === undefined) return undefined
      const items = skip === undefined ? batch.items : batch.items.filter((item) => !skip(item))
      const last = until === undefined ? -1 : items.findIndex(until)
      over = last >= 0
      return items.length === batch.items.length && !over
        ? batch
        : partOf(batch, over ? items.slice(0, last + 1) : items)
    }
    return batchesOf(next, () => void batches.return?.())
  }

  const stopWatching = options.watch(() => {
    gone.abort()
    setTimeout(() => raw.destroy(), dismissMs)
  })
  try {
    raw.write('retry: 1000\n\n')
    const cutOff = await deliver({
      ...{ follow, after: options.after, slow: options.slow ?? 'resume', signal },
      reader: {
        give: async (batch) => {
          let waited = false
          for (const bytes of bytesOf(batch)) {
            if (raw.write(bytes)) continue
            // It is written at the end of this tick, and what the kernel has taken by then needs no waiting for.
            await new Promise<void>((resolve) => process.nextTick(resolve))
            if (raw.writableLength === 0 || !raw.writableNeedDrain) continue
            waited = true
            await once(raw, 'drain', { signal }).catch(() => undefined)
          }
          return waited
        },
        push: (batch) => {
          for (const bytes of bytesOf(batch)) raw.write(bytes)
        },
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
    stopWatching()
    clearInterval(heartbeat)
    gone.abort()
    raw.end()
  }
}
