import { once } from 'node:events'
import { createServer } from 'node:http'

/** A listener on loopback, for the one request by which a browser brings what came of a log-in (RFC 8252, 7.3). */
export type Loopback = AsyncDisposable & {
  port: number
  /** What came with `state`; all else is answered 404 and ignored. Rejects with the reason of `signal`. */
  answer(state: string, signal: AbortSignal): Promise<URLSearchParams>
}

export const listenOnLoopback = async (): Promise<Loopback> => {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  if (address === null || typeof address === 'string') throw new Error('The listener has no port.')
  return {
    port: address.port,
    answer: (state, signal) =>
      new Promise((resolve, reject) => {
        http.on('request', (request, response) => {
          const url = URL.parse(request.url ?? '', 'http://127.0.0.1')
          const awaited = url?.pathname === '/' && url.searchParams.get('state') === state
          response.writeHead(awaited ? 200 : 404, {
            'content-type': 'text/plain; charset=utf-8',
            'cache-control': 'no-store',
            'referrer-policy': 'no-referrer',
          })
          response.end(
            awaited ? 'The command line goes on. You can close this page.\n' : 'There is nothing here.\n',
            () => {
              if (awaited) resolve(url.searchParams)
            },
          )
        })
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        signal.throwIfAborted()
      }),
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections()
      http.close()
    },
  }
}
