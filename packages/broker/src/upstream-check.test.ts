import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { live, testBroker } from './testing.ts'

const listen = async (): Promise<{ server: Server; port: number; connections: () => number } & AsyncDisposable> => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => undefined)
    // Whoever speaks TLS is answered with something else.
    socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const close = async () => void server.close()
  return { server, port, connections: () => connections, [Symbol.asyncDispose]: close }
}

test('an upstream that takes connections is reachable; however often that is asked, it is tried once', async () => {
  await using upstream = await listen()
  await using broker = await testBroker(live(`http://127.0.0.1:${upstream.port}/v1`))
  const checks = await Promise.all(Array.from({ length: 20 }, () => broker.control.upstream()))
  expect(await broker.control.upstream()).toEqual({ error: null, checkedAt: expect.stringMatching(/^\d{4}-.*Z$/) })
  expect(new Set(checks.map((check) => check?.checkedAt)).size).toBe(1)
  expect(upstream.connections()).toBe(1)
})

test('one that takes none is told with the reason, and another upstream is tried at once', async () => {
  const gone = await listen()
  await gone[Symbol.asyncDispose]()
  await using broker = await testBroker(live(`http://127.0.0.1:${gone.port}`))
  expect(await broker.control.upstream()).toMatchObject({ error: expect.stringContaining('ECONNREFUSED') })
  await using there = await listen()
  await broker.control.configure(live(`http://127.0.0.1:${there.port}`))
  expect(await broker.control.upstream()).toMatchObject({ error: null })
})

test('with https the handshake must succeed too', async () => {
  await using upstream = await listen()
  await using broker = await testBroker(live(`https://127.0.0.1:${upstream.port}`))
  expect((await broker.control.upstream())?.error).toMatch(/./)
  expect(upstream.connections()).toBe(1)
})

test('the demo has no upstream to reach, nor has a broker that was told nothing yet', async () => {
  await using broker = await testBroker()
  expect(await broker.control.upstream()).toBeNull()
  await broker.control.configure({ mode: 'demo' })
  expect(await broker.control.upstream()).toBeNull()
})
