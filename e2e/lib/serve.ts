import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'

/** Serves on loopback until it is disposed of, whoever is still connected then. */
export const serve = async (listener: RequestListener): Promise<{ url: string } & AsyncDisposable> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
