import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { createAccessChanges } from '../../auth/access-changes.ts'
import type { Identity } from '../../auth/identity.ts'
import { newId } from '../../lib/id.ts'
import type { UserRecord } from '../../storage/user-store.ts'
import type { Services } from '../services.ts'
import { createFrames, serveConnection } from './connection.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date', 'performance'] }))
afterEach(() => vi.useRealTimers())

const user: UserRecord = {
  id: newId('usr', 0),
  username: 'admin',
  passwordHash: '',
  mustChangePassword: false,
  oidcId: null,
  role: 'admin',
  disabledAt: null,
  createdAt: 0,
}
const identity: Identity = { userId: user.id, grant: { kind: 'login', id: newId('lgn', 0) }, expiresAt: 900_000 }
const services = {
  accessChanges: createAccessChanges(),
  logins: { isRevoked: () => false },
  database: { users: { get: async () => user } },
  log: { debug: () => undefined },
  version: '0',
  clock: { now: () => 0 },
  healthChecker: { last: () => undefined },
} as unknown as Services

/** A WebSocket as the server has it, and the bare TCP connection of its client, which answers nothing by itself. */
const openPair = async (): Promise<{ served: WebSocket; peer: Socket; stop(): void }> => {
  const http = createServer()
  const sockets = new WebSocketServer({ server: http })
  const accepted = once(sockets, 'connection') as Promise<[WebSocket, IncomingMessage]>
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const peer = connect((http.address() as AddressInfo).port, '127.0.0.1')
  peer.on('error', () => undefined).resume()
  const key = randomBytes(16).toString('base64')
  peer.write(
    `GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
  )
  const [served, { socket }] = await accepted
  serveConnection(served, socket, { identity, user, address: '127.0.0.1' }, services, createFrames())
  return {
    served,
    peer,
    stop: () => {
      peer.destroy()
      sockets.close()
      http.close()
    },
  }
}

test('a connection whose peer has vanished without a word is freed within 30 seconds', async () => {
  const { served, stop } = await openPair()
  const closed = once(served, 'close')
  vi.advanceTimersByTime(20_000)
  expect(served.readyState).toBe(served.OPEN)
  vi.advanceTimersByTime(10_000)
  await closed
  expect(vi.getTimerCount()).toBe(0)
  stop()
})

test('one that answers pings is kept for as long as it does', async () => {
  const { served, peer, stop } = await openPair()
  for (let pings = 0; pings < 12; pings++) {
    const answered = once(served, 'pong')
    vi.advanceTimersByTime(10_000)
    // A pong without a payload; a client masks its frames.
    peer.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]))
    await answered
  }
  expect(served.readyState).toBe(served.OPEN)
  stop()
})

test('a wall clock that jumps by two hours frees no connection that answers', async () => {
  const { served, peer, stop } = await openPair()
  vi.setSystemTime(Date.now() + 2 * 3600_000)
  for (let pings = 0; pings < 3; pings++) {
    const answered = once(served, 'pong')
    vi.advanceTimersByTime(10_000)
    peer.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]))
    await answered
  }
  expect(served.readyState).toBe(served.OPEN)
  stop()
}, 5000)
