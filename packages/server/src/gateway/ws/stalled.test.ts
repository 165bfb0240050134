import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createAccessChanges } from '../../auth/access-changes.ts'
import type { Identity } from '../../auth/identity.ts'
import { newId } from '../../lib/id.ts'
import type { Batch } from '../../session/feed.ts'
import { batchesOf, type Batches } from '../../session/follow.ts'
import type { UserRecord } from '../../storage/user-store.ts'
import type { Services } from '../services.ts'
import { createFrames, serveConnection } from './connection.ts'

const user: UserRecord = {
  id: newId('usr', 0),
  username: 'admin',
  passwordHash: '',
  oidcId: null,
  role: 'admin',
  mustChangePassword: false,
  disabledAt: null,
  createdAt: 0,
}
const identity: Identity = { userId: user.id, grant: { kind: 'login', id: newId('lgn', 0) }, expiresAt: Infinity }
const items: Batch['items'] = [{ type: 'text', seq: 1, time: '', block: 'b', text: 'x'.repeat(200_000) }]
const batch: Batch = { items, last: items[0], json: JSON.stringify(items), live: true }

test('nothing more is read for a reader that stalled when its connection ends', async () => {
  const http = createServer()
  const sockets = new WebSocketServer({ server: http })
  const accepted = once(sockets, 'connection') as Promise<[WebSocket, IncomingMessage]>
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  client.on('error', () => undefined)
  const [served, { socket }] = await accepted
  /** What the connection was each time that more was asked for. */
  const asked: number[] = []
  const follow = (_: unknown, signal: AbortSignal): Batches =>
    batchesOf(async () => {
      if (signal.aborted) return undefined
      asked.push(served.readyState)
      return batch
    })
  const session = { record: () => ({ userId: user.id, lastSeq: 1 }), follow }
  const services = {
    accessChanges: createAccessChanges(),
    logins: { isRevoked: () => false },
    limits: { ofCaller: async () => undefined },
    database: { users: { get: async () => user } },
    registry: { get: async () => session },
    log: { debug: () => undefined },
    version: '0',
    clock: { now: () => 0 },
    healthChecker: { last: () => undefined },
  } as unknown as Services
  serveConnection(served, socket, { identity, user, address: '127.0.0.1' }, services, createFrames())
  await once(client, 'open')
  client.send(JSON.stringify({ type: 'subscribe', ref: 'follow', sessionId: newId('ses', 0) }))
  client.pause()
  await expect.poll(() => served.bufferedAmount).toBeGreaterThan(64 * 1024)
  const closed = once(served, 'close')
  client.terminate()
  await closed
  await new Promise((resolve) => setImmediate(resolve))
  expect(asked.length).toBeGreaterThan(0)
  expect(asked.filter((state) => state !== WebSocket.OPEN)).toEqual([])
  sockets.close()
  http.close()
})
