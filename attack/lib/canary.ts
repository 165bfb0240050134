import { once } from 'node:events'
import { createServer } from 'node:http'

export type Canary = AsyncDisposable & {
  port: number
  url: string
  /** Every request that came: `GET /path`, and its headers. */
  heard: string[]
}

/** A listener on loopback that nobody has a reason to talk to. `redirectTo` is where it sends those who come. */
export const openCanary = async ({
  address = '127.0.0.1',
  redirectTo,
}: { address?: string; redirectTo?: string } = {}): Promise<Canary> => {
  const heard: string[] = []
  const server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`)
    if (redirectTo === undefined) response.writeHead(404).end()
    else response.writeHead(302, { location: redirectTo }).end()
  })
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return {
    port: bound.port,
    url: `http://${address}:${bound.port}`,
    heard,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
