import { connect } from 'node:net'
import { tokensText } from '@aicm/broker'
import { applyItems, emptyTranscript, type Client, type Transcript } from '@aicm/client'
import type { StreamItem } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { cuttingProxy } from './lib/cutting-proxy.ts'
import { expectRefusal, send } from './lib/http.ts'
import { readEvents } from './lib/sse.ts'
import {
  collect,
  expectGapless,
  expectSame,
  firstItem,
  grownText,
  isComplete,
  logOf,
  messagesOf,
  storedText,
} from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client
let token: string

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
  token = await server.token()
})
afterAll(() => server?.stop())

/** An answer of many blocks with tool calls that need no leave between them, and its text. */
const rounds = Array.from({ length: 8 }, (_, round) => round)
const prompt = rounds.map((round) => `@think(20) @text(é😀 ${round} ) @tokens(140,4) @bash(true)`).join(' ')
const wholeText = rounds.map((round) => `é😀 ${round} ${tokensText(140)}`).join('') + 'Done.'

const shownText = ({ settled, open }: Transcript): string =>
  [...settled, ...open].map((block) => (block.kind === 'text' ? block.text : '')).join('')

test('server-sent events, cut at random bytes about thirty times and continued by Last-Event-ID, give the whole text', async () => {
  const random = seeded(1)
  const { id } = await client.sessions.create()
  const turn = client.session(id).execute(prompt)
  await turn.accepted
  await using proxy = await cuttingProxy(server.url, () => 1500 + Math.floor(random() * 4000))

  let transcript = emptyTranscript
  let lastId: string | undefined
  const items: StreamItem[] = []
  while (!items.some(isComplete)) {
    try {
      const response = await fetch(`${proxy.url}/v1/sessions/${id}/events`, {
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'text/event-stream',
          ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
        },
      })
      expect(response.status).toBe(200)
      for await (const event of readEvents(response)) {
        lastId = event.id
        items.push(event.item)
        const before = shownText(transcript)
        transcript = applyItems(transcript, [event.item])
        // What was shown is never taken back.
        expect(shownText(transcript).startsWith(before)).toBe(true)
        if (isComplete(event.item)) break
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
    }
  }
  expect(proxy.cuts()).toBeGreaterThan(15)
  expectSame(shownText(transcript), wholeText)
  // Every stored message came once, in order.
  expectGapless(items)
  expect(messagesOf(items)).toEqual((await logOf(client, id)).slice(0, messagesOf(items).length))
})

test('the SDK over a WebSocket that is cut at random bytes about thirty times gives the whole text, each part once', async () => {
  const random = seeded(2)
  const { id } = await client.sessions.create()
  await using proxy = await cuttingProxy(server.url, () => 1500 + Math.floor(random() * 4000))
  const cut = await server.client({ url: proxy.url })
  const items = await collect(cut.session(id).execute(prompt))
  expect(proxy.cuts()).toBeGreaterThan(15)
  grownText(items)
  expectSame(shownText(applyItems(emptyTranscript, items)), wholeText)
  expectSame(storedText(items), wholeText)
  expect(items.at(-1)).toMatchObject({ type: 'complete', result: 'success' })
  expect(items.filter(({ type }) => type === 'prompt').length).toBe(1)
  cut.close()

  const again = await collect(client.session(id).events(), isComplete)
  expectGapless(again)
  expect(messagesOf(again).filter(({ turnId }) => turnId !== undefined)).toEqual(messagesOf(items))
})

test('a raw WebSocket continues by a cursor in the middle of a block', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  session.execute('@tokens(400,5)').accepted.catch(() => undefined)
  const half = await firstItem(session, (item) => item.type === 'delta' && item.at > 300)
  if (half.type !== 'delta') throw new Error('no delta')
  const at = half.at + half.text.length

  const socket = await openSocket(`${server.url}/v1/ws`, { headers: { authorization: `Bearer ${token}` } })
  socket.send({ type: 'subscribe', ref: 'a', sessionId: id, after: `${half.after}:${half.block}:${at}` })
  const items: StreamItem[] = []
  while (!items.some(isComplete)) items.push(...(await socket.next('events')).items)
  socket.close()
  let text = tokensText(400).slice(0, at)
  for (const item of items)
    if (item.type === 'delta' && item.block === half.block) {
      expect(item.at).toBeLessThanOrEqual(text.length)
      text = text.slice(0, item.at) + item.text
    }
  expectSame(text, tokensText(400))
  expect(messagesOf(items)[0]?.seq).toBe(half.after + 1)
})

test('twenty readers get everything beside one that never reads, and the server goes on', async () => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const headers = { authorization: `Bearer ${token}` }

  // Neither of these ever reads: an event stream, and a WebSocket that has subscribed.
  const { hostname, port } = new URL(server.url)
  const deaf = connect({
    host: hostname,
    port: Number(port),
    onread: { buffer: Buffer.alloc(1), callback: () => false },
  })
  deaf.on('error', () => undefined)
  deaf.write(
    `GET /v1/sessions/${id}/events HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${token}\r\naccept: text/event-stream\r\n\r\n`,
  )
  const mute = await openSocket(`${server.url}/v1/ws`, { headers })
  mute.send({ type: 'subscribe', ref: 'a', sessionId: id })
  await mute.next('subscribed')
  mute.socket.pause()

  const clients = await Promise.all(Array.from({ length: 20 }, () => server.client()))
  const readers = clients.map((reader) => collect(reader.session(id).events(), isComplete))
  await session.execute('@tokens(20000) @bash(true) @tokens(200,5)').accepted
  const seen = await Promise.all(readers)
  const whole = tokensText(20_000) + tokensText(200)
  for (const items of seen) {
    expectGapless(items)
    expectSame(storedText(items), whole)
    expectSame(grownText(items), whole)
  }
  for (const reader of clients) reader.close()
  expect(await session.execute('@text(still here)').complete()).toMatchObject({ text: 'still here' })

  // The one that slept finds everything when it wakes.
  mute.socket.resume()
  const late: StreamItem[] = []
  while (late.filter(isComplete).length < 2) late.push(...(await mute.next('events')).items)
  expectGapless(late)
  expectSame(storedText(late), `${whole}still here`)
  mute.close()
  deaf.destroy()
})

test('the log is read in pages, from any cursor, and never past its end', async () => {
  const { id } = await client.sessions.create()
  for (const text of ['one', 'two', 'three']) await client.session(id).execute(`@text(${text})`).complete()
  await firstItem(
    client.session(id),
    (item) => item.type === 'status' && item.status === 'idle',
    (await client.sessions.get(id)).lastSeq - 1,
  )
  const log = await logOf(client, id)
  const url = `${server.url}/v1/sessions/${id}/events`
  const pages = []
  let after = 0
  while (true) {
    const { status, body } = await send(`${url}?limit=4&after=${after}`, 'GET', { token })
    expect(status).toBe(200)
    const page = body as { events: StreamItem[]; nextAfter: number; lastSeq: number }
    expect(page.lastSeq).toBe(log.length)
    if (page.events.length === 0) {
      expect(page.nextAfter).toBe(after)
      break
    }
    expect(page.events.length).toBeLessThanOrEqual(4)
    pages.push(...page.events)
    after = page.nextAfter
  }
  expect(pages).toEqual(log)
  expectGapless(messagesOf(pages))
  expect((await send(url, 'GET', { token })).body).toEqual({ events: log, nextAfter: log.length, lastSeq: log.length })
  expectRefusal(await send(`${url}?after=${log.length + 1}`, 'GET', { token }), 'invalid_cursor')
  await expect(collect(client.session(id).events({ after: log.length + 1 }))).rejects.toMatchObject({
    code: 'invalid_cursor',
  })
})

test('a stream ends when its session is deleted', async () => {
  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(hello)').complete()
  const response = await fetch(`${server.url}/v1/sessions/${id}/events`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
  })
  const events = readEvents(response)
  const following = collect(client.session(id).events()).catch((error: unknown) => error)
  for await (const { item } of events) {
    if (item.type === 'complete') await client.sessions.delete(id)
    if (item.type === 'status' && item.status === 'closed') break
  }
  expect(await following).toMatchObject({ code: 'session_not_found' })
})
