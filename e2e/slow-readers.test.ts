import type { Client } from '@aicm/client'
import { parseCursor, slowReaderCode, type Cursor, type SlowPolicy, type StreamItem } from '@aicm/protocol'
import { fakeTokens } from '@aicm/testing/fake-claude'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { WebSocket } from 'ws'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { readEvents, type ServerSentEvent } from './lib/sse.ts'
import {
  collect,
  expectGapless,
  expectSame,
  grownText,
  isComplete,
  logOf,
  messagesOf,
  storedText,
} from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
let client: Client
let token: string

beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
  client = await server.client()
  token = await server.token()
})
afterAll(() => server?.stop())

/** Far more than all buffers between the server and a reader hold, and all of its text. */
const rounds = 24
const flood = Array.from({ length: rounds }, () => '@tokens(2000) @long-line(700000)').join(' ')

const runFlood = async (id: string): Promise<string> => {
  await client.session(id).execute(flood).complete()
  const text = storedText(await logOf(client, id))
  expect(text.length).toBeGreaterThan(rounds * 700_000)
  return text
}

/** Blocks put together as the protocol says: each delta at its place, the whole message instead. No delta leaves a hole. */
const expectText = (items: StreamItem[], text: string): void => {
  const grown = new Map<string, string>()
  for (const item of items) {
    if (item.type !== 'delta') continue
    const before = grown.get(item.block) ?? ''
    expect(item.at).toBeLessThanOrEqual(before.length)
    grown.set(item.block, before.slice(0, item.at) + item.text)
  }
  for (const item of items)
    if (item.type === 'text') expect(item.text.startsWith(grown.get(item.block) ?? '')).toBe(true)
  expectGapless(items)
  expectSame(storedText(items), text)
}

const subscribed = async (id: string, slow: SlowPolicy, after?: string) => {
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  socket.send({ type: 'subscribe', ref: 'a', sessionId: id, slow, ...(after === undefined ? {} : { after }) })
  await socket.next('subscribed')
  return { ...socket, closed }
}

const readTo = async (
  socket: Awaited<ReturnType<typeof subscribed>>,
  wanted: (items: StreamItem[]) => boolean,
): Promise<StreamItem[]> => {
  const items: StreamItem[] = []
  while (!wanted(items)) items.push(...(await socket.next('events')).items)
  return items
}
const completes = (count: number) => (items: StreamItem[]) => items.filter(isComplete).length >= count

test('resume: a WebSocket that slept is told where it fell behind, and catches up from the log', async () => {
  const { id } = await client.sessions.create()
  const socket = await subscribed(id, 'resume')
  const cursors: string[] = []
  socket.socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString('utf8'))
    if (message.type === 'behind') cursors.push(`${message.sessionId} ${message.cursor}`)
  })
  socket.socket.pause()
  const text = await runFlood(id)
  socket.socket.resume()
  const items = await readTo(socket, completes(1))
  expectText(items, text)
  expect(cursors).toEqual([expect.stringMatching(new RegExp(`^${id} \\d+`))])
  // It is one of the places where it has been.
  const cursor = parseCursor(cursors[0]?.split(' ')[1] ?? '')
  expect(messagesOf(items).some(({ seq }) => seq === cursor?.seq)).toBe(true)
  // From now on it sees live text again.
  void client.session(id).execute('@tokens(50,1)')
  const next = await readTo(socket, completes(1))
  expectSame(grownText(next), fakeTokens(50))
  socket.close()
})

test('drop-deltas: a WebSocket that slept gets what is whole, and live text from there on', async () => {
  const { id } = await client.sessions.create()
  const socket = await subscribed(id, 'drop-deltas')
  socket.socket.pause()
  const text = await runFlood(id)
  socket.socket.resume()
  const items = await readTo(socket, completes(1))
  expectText(items, text)
  const live = items.reduce((sum, item) => sum + (item.type === 'delta' ? item.text.length : 0), 0)
  expect(live).toBeLessThan(rounds * fakeTokens(2000).length)
  void client.session(id).execute('@tokens(50,1)')
  const next = await readTo(socket, completes(1))
  expectSame(grownText(next), fakeTokens(50))
  socket.close()
})

test('disconnect: a WebSocket that sleeps is closed with its cursor, and goes on from there without a hole', async () => {
  const { id } = await client.sessions.create()
  const socket = await subscribed(id, 'disconnect')
  socket.socket.pause()
  const text = await runFlood(id)
  socket.socket.resume()
  const items: StreamItem[] = []
  const reading = (async () => {
    while (true) items.push(...(await socket.next('events')).items)
  })().catch(() => undefined)
  const { code, reason } = await socket.closed
  await reading
  expect(code).toBe(slowReaderCode)
  const [, sessionId, cursor] = /^behind (\S+) (\S+)$/.exec(reason) ?? []
  expect(sessionId).toBe(id)
  // It is behind the last thing that came.
  expect(messagesOf(items).at(-1)?.seq ?? 0).toBe(parseCursor(cursor ?? '')?.seq)
  expect(items.some(isComplete)).toBe(false)

  const again = await subscribed(id, 'disconnect', cursor)
  items.push(...(await readTo(again, completes(1))))
  expectText(items, text)
  again.close()
})

/** An event stream. Nobody reads it until its events are asked for. */
const openStream = async (id: string, query: string): Promise<AsyncIterable<ServerSentEvent>> => {
  const response = await fetch(`${server.url}/v1/sessions/${id}/events?${query}`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
  })
  expect(response.status).toBe(200)
  return readEvents(response)
}

/** Reads to the end of the turn, or of the stream. */
const takeTurn = async (stream: AsyncIterable<ServerSentEvent>) => {
  const items: StreamItem[] = []
  const told: (string | undefined)[] = []
  let lastId = ''
  for await (const { id, item } of stream) {
    if ('cursor' in item) told.push(String(item.cursor))
    else items.push(item)
    if (isComplete(item)) break
    if (id !== '') lastId = id
  }
  return { items, told, lastId }
}

for (const slow of ['resume', 'drop-deltas', 'disconnect'] as const)
  test(`${slow}: an event stream that slept has the whole text in the end`, async () => {
    const { id } = await client.sessions.create()
    const stream = await openStream(id, `slow=${slow}`)
    const text = await runFlood(id)
    const { items, told, lastId } = await takeTurn(stream)
    expect(told.length).toBe(slow === 'drop-deltas' ? 0 : 1)
    expect(items.some(isComplete)).toBe(slow !== 'disconnect')
    if (slow === 'disconnect') {
      expect(told).toEqual([lastId])
      items.push(...(await takeTurn(await openStream(id, `after=${lastId}`))).items)
    }
    expectText(items, text)
  })

test('an unknown policy is refused', async () => {
  const { id } = await client.sessions.create()
  expectRefusal(await send(`${server.url}/v1/sessions/${id}/events?slow=never`, 'GET', { token }), 'invalid_request')
  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  socket.send({ type: 'subscribe', ref: 'a', sessionId: id, slow: 'never' })
  expect(await socket.next('error')).toMatchObject({ ref: 'a', error: { code: 'invalid_request' } })
  socket.close()
})

for (const slow of ['resume', 'drop-deltas', 'disconnect'] as const)
  test(`${slow}: the SDK, put to sleep, gives each message once and the whole text`, async () => {
    const sockets: WebSocket[] = []
    const behind: { sessionId: string; cursor: Cursor }[] = []
    const sleepy = await server.client({
      slow,
      onBehind: (told) => behind.push(told),
      WebSocket: class extends WebSocket {
        constructor(url: string) {
          super(url)
          sockets.push(this)
        }
      },
    })
    const states: string[] = []
    sleepy.connection.onChange((state) => states.push(state.state === 'waiting' ? state.error.code : state.state))
    const { id } = await client.sessions.create()
    const started = Promise.withResolvers<void>()
    const reading = collect(
      (async function* () {
        for await (const item of sleepy.session(id).events()) {
          started.resolve()
          yield item
        }
      })(),
      isComplete,
    )
    await started.promise
    sockets[0]?.pause()
    const text = await runFlood(id)
    sockets[0]?.resume()
    const items = await reading
    expectText(items, text)
    expect(behind.map(({ sessionId }) => sessionId)).toEqual(slow === 'resume' ? [id] : [])
    expect(states.includes('read_too_slowly')).toBe(slow === 'disconnect')
    sleepy.close()
  })
