import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'

/**
 * A request's body on its way upstream, with a copy of what has passed: so that it can be sent once more, with another
 * credential. The copy has a bound; of a longer body there is only one sending, and `claude` tries again by itself.
 */
export type RequestBody = {
  /** Its beginning; all that is read before somebody takes it. */
  head: Promise<Buffer>
  /** Whether all of it can be sent (again). */
  canSend(): boolean
  /** Sends all of it, and leaves the one before alone. */
  send(to: Writable): void
  /** It will not be sent again. What has not come yet still goes where it goes. */
  settle(): void
  /** Nobody wants it any more. */
  drop(): void
}

export const mostCopied = 4 * 1024 * 1024

export const readRequestBody = (request: IncomingMessage, most = mostCopied): RequestBody => {
  let copy: Buffer[] | undefined = []
  let size = 0
  let ended = false
  let target: Writable | undefined
  let settled = false
  const head = Promise.withResolvers<Buffer>()

  const resume = (): void => void request.resume()
  const leave = (): void => {
    target?.off('drain', resume)
    target = undefined
  }

  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (copy !== undefined && (settled || size > most)) copy = undefined
    copy?.push(chunk)
    if (target === undefined && copy !== undefined && !settled) request.pause()
    else if (target !== undefined && !target.write(chunk)) request.pause()
    head.resolve(chunk)
  })
  request.once('end', () => {
    ended = true
    target?.end()
    head.resolve(Buffer.alloc(0))
  })
  request.once('close', () => head.resolve(Buffer.alloc(0)))

  return {
    head: head.promise,
    canSend: () => copy !== undefined && !settled,
    send: (to) => {
      leave()
      for (const chunk of copy ?? []) to.write(chunk)
      if (ended) return void to.end()
      target = to
      // What a connection that is gone does not take is not waited for.
      to.on('drain', resume)
      to.once('close', resume)
      to.on('error', () => undefined)
      request.resume()
    },
    settle: () => {
      settled = true
      copy = undefined
    },
    drop: () => {
      settled = true
      copy = undefined
      leave()
      request.resume()
    },
  }
}
