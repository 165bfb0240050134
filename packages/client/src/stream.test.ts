import type { Message, StreamItem } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { seeded } from '../../testing/src/fake-api/chaos.ts'
import { startFakeApi, type FakeTurn } from '../../testing/src/fake-api/fake-api.ts'
import { createClient } from './client.ts'
import { applyItems, emptyTranscript } from './transcript.ts'

const timing = { backoffBaseMs: 1, backoffMaxMs: 20, idleMs: 10 }
const breath = () => new Promise<void>((resolve) => setImmediate(resolve))

const collect = async (items: AsyncIterable<StreamItem>, until: (item: StreamItem) => boolean = () => false) => {
  const all: StreamItem[] = []
  for await (const item of items) {
    all.push(item)
    if (until(item)) break
  }
  return all
}

const messages = (items: StreamItem[]): Message[] => items.filter((item) => item.type !== 'delta')

/** Deltas that a reader was given must lie side by side, without overlap, and begin the text that was stored. */
const checkDeltas = (items: StreamItem[], log: Message[]) => {
  const grown = new Map<string, string>()
  for (const item of items) {
    if (item.type !== 'delta') continue
    const before = grown.get(item.block) ?? ''
    expect(item.at).toBe(before.length)
    grown.set(item.block, before + item.text)
  }
  for (const [block, text] of grown) {
    const stored = log.find((message) => message.type === 'text' && message.block === block)
    if (stored?.type === 'text') expect(stored.text.startsWith(text)).toBe(true)
  }
}

/** A turn with several blocks, two of them side by side, tool calls in between. */
const busyTurn =
  (random: () => number) =>
  async ({ session, turnId }: FakeTurn) => {
    for (let round = 0; round < 4; round += 1) {
      const texts = new Map(['a', 'b'].map((name) => [`${turnId}-${round}-${name}`, '']))
      for (let step = 0; step < 25; step += 1) {
        const names = [...texts.keys()]
        const block = names[Math.floor(random() * names.length)] ?? ''
        const text = `${round}.${step} ${'é😀x'.slice(0, Math.floor(random() * 4))}`
        texts.set(block, (texts.get(block) ?? '') + text)
        session.grow({ block, text, turnId })
        if (random() < 0.4) await breath()
      }
      for (const [block, text] of texts) session.store({ type: 'text', turnId, block, text })
      const toolUseId = `${turnId}-${round}`
      session.store({
        type: 'tool_use',
        turnId,
        block: `${toolUseId}-tool`,
        toolUseId,
        name: 'Bash',
        input: { command: 'ls' },
      })
      session.store({ type: 'tool_result', turnId, toolUseId, content: 'README.md', isError: false })
    }
    session.store({ type: 'complete', turnId, result: 'success', reason: 'completed' })
  }

test('a prompt streams its own turn from the prompt to its complete', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  const execution = session.execute('Hello there')
  const items = await collect(execution)

  expect(await execution.accepted).toEqual({ turnId: execution.turnId, seq: 1 })
  expect(messages(items).map(({ type }) => type)).toEqual(['prompt', 'status', 'text', 'complete'])
  expect(items.flatMap((item) => (item.type === 'text' ? item.text : []))).toEqual(['You said: Hello there'])
  expect(items.every(({ turnId }) => turnId === execution.turnId)).toBe(true)
})

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  'through cuts, repetitions and gaps nothing is lost, doubled or out of order (seed %i)',
  async (seed) => {
    const random = seeded(seed)
    const chaos = { random, cut: 0.03, repeat: 0.1, drop: seed % 2 === 0 ? 0.01 : 0, hold: 0.3 }
    await using api = await startFakeApi({ play: busyTurn(random), chaos })
    await using client = createClient({ url: api.url, timing })
    const session = client.session((await client.sessions.create()).id)
    const done = new Set<string>()
    const following = collect(
      session.events(),
      (item) => item.type === 'complete' && done.add(item.turnId ?? '').size === 3,
    )
    const executions = [session.execute('one'), session.execute('two'), session.execute('three')]
    const [all, ...turns] = await Promise.all([following, ...executions.map((execution) => collect(execution))])

    const { log } = api.sessions.get(session.id) ?? { log: [] }
    expect(api.sockets.opened).toBeGreaterThan(1)
    expect(messages(all)).toEqual(log.slice(0, messages(all).length))
    expect(log.filter(({ type }) => type === 'prompt')).toHaveLength(3)
    checkDeltas(all, log)
    expect(applyItems(emptyTranscript, all).settled).toEqual(applyItems(emptyTranscript, messages(all)).settled)
    for (const [index, turn] of turns.entries()) {
      const { turnId } = executions[index] ?? { turnId: '' }
      expect(messages(turn)).toEqual(log.filter((message) => message.turnId === turnId))
      checkDeltas(turn, log)
    }
  },
)

test('many sessions share one connection, which closes when nothing uses it', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const ids = await Promise.all(Array.from({ length: 20 }, async () => (await client.sessions.create()).id))
  await Promise.all(ids.map((id) => client.session(id).execute('x').complete()))
  expect(api.sockets.opened).toBe(1)
  await new Promise<void>((resolve) => client.connection.onChange(({ state }) => state === 'idle' && resolve()))
  expect(api.received.filter(({ type }) => type === 'execute')).toHaveLength(20)
})

test('a cut connection is seen as such, and is made again', async () => {
  await using api = await startFakeApi()
  const { info, store } = api.createSession()
  await using client = createClient({ url: api.url, timing })
  const states: string[] = []
  client.connection.onChange(({ state }) => states.push(state))
  store({ type: 'status', status: 'idle' })
  const stop = new AbortController()
  const seen: number[] = []
  for await (const item of client.session(info.id).events({ signal: stop.signal })) {
    if (item.type === 'delta') continue
    seen.push(item.seq)
    if (item.seq === 3) stop.abort()
    api.cutAll()
    store({ type: 'status', status: 'idle' })
  }
  expect(seen).toEqual([1, 2, 3])
  expect(states.slice(0, 5)).toEqual(['connecting', 'open', 'waiting', 'connecting', 'open'])
})

test('two prompts with one id are one turn', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  const id = crypto.randomUUID()
  const [first, second] = await Promise.all([
    collect(session.execute('x', { id })),
    collect(session.execute('x', { id: id.toUpperCase() })),
  ])
  expect(messages(first)).toEqual(messages(second))
  expect(api.sessions.get(session.id)?.log.filter(({ type }) => type === 'prompt')).toHaveLength(1)
})

test('a refusal reaches whoever waits: for the acceptance, for the stream, for the log', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  await session.close()
  await expect(session.execute('x').accepted).rejects.toMatchObject({ code: 'session_closed', status: 409 })
  await expect(collect(session.execute('x'))).rejects.toMatchObject({ code: 'session_closed' })
  await expect(collect(client.session('ses_unknown').events())).rejects.toMatchObject({
    code: 'session_not_found',
    status: 404,
  })
})

test('a server that is starting or stopping is asked again, not given up', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  api.refuse('ticket', 'not_ready', 3)
  api.refuse('execute', 'not_ready', 2)
  api.refuse('subscribe', 'storage_unavailable', 2)
  expect(await session.execute('x').complete()).toMatchObject({ result: 'success' })
})

test('when the token is no longer good, every reader is told', async () => {
  await using api = await startFakeApi()
  const { info } = api.createSession()
  await using client = createClient({ url: api.url, timing })
  const opened = new Promise<void>((resolve) =>
    client.connection.onChange(({ state }) => state === 'open' && resolve()),
  )
  const following = collect(client.session(info.id).events())
  await opened
  api.refuse('ticket', 'unauthorized')
  api.cutAll()
  await expect(following).rejects.toMatchObject({ code: 'unauthorized', status: 401 })
  expect(client.connection.state()).toEqual({ state: 'idle' })
})

test('a server that keeps leaving out a message is reported, not asked for ever', async () => {
  await using api = await startFakeApi()
  const { info, store, log } = api.createSession()
  for (let count = 0; count < 5; count += 1) store({ type: 'status', status: 'idle' })
  log.splice(2, 1)
  await using client = createClient({ url: api.url, timing })
  await expect(collect(client.session(info.id).events())).rejects.toMatchObject({ code: 'stream_gap' })
})

test('a reader that falls behind costs bounded memory and still gets everything', async () => {
  await using api = await startFakeApi()
  const { info, store, listeners } = api.createSession()
  for (let count = 0; count < 500; count += 1) store({ type: 'progress', kind: 'task', text: `${count}` })
  await using client = createClient({ url: api.url, timing, queueLimits: { items: 50, bytes: 1_000_000 } })
  const seqs: number[] = []
  for await (const item of client.session(info.id).events()) {
    if (item.type !== 'delta') seqs.push(item.seq)
    if (seqs.length % 40 === 0) await breath()
    if (seqs.length === 500) break
  }
  expect(seqs).toEqual(Array.from({ length: 500 }, (_, index) => index + 1))
  expect(api.received.filter(({ type }) => type === 'subscribe').length).toBeGreaterThan(5)
  await new Promise<void>((resolve) => client.connection.onChange(({ state }) => state === 'idle' && resolve()))
  await expect.poll(() => listeners.size).toBe(0)
})

test('a silent connection counts as dead', async () => {
  await using api = await startFakeApi()
  const { info, store } = api.createSession()
  await using client = createClient({ url: api.url, timing: { ...timing, pingMs: 5, deadMs: 20 } })
  const stop = new AbortController()
  const following = collect(client.session(info.id).events({ signal: stop.signal }))
  await expect.poll(() => api.sockets.open.size).toBe(1)
  for (const socket of api.sockets.open) socket.removeAllListeners('message')
  await expect.poll(() => api.sockets.opened).toBeGreaterThan(1)
  store({ type: 'status', status: 'idle' })
  stop.abort()
  await following
})

test('events end quietly with their signal, a prompt loudly', async () => {
  await using api = await startFakeApi({ play: () => new Promise(() => {}) })
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  const stop = new AbortController()
  const following = collect(session.events({ signal: stop.signal }))
  const execution = session.execute('x', { signal: stop.signal })
  const reading = collect(execution)
  await execution.accepted
  stop.abort(new Error('enough'))
  await following
  await expect(reading).rejects.toThrow('enough')
})

test('handlers get the messages of their type, beginning before a prompt that is sent after them', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  await session.execute('earlier').complete()
  const texts: string[] = []
  const kinds: string[] = []
  const stop = session.on('text', ({ text }) => texts.push(text))
  const complete = new Promise<void>((resolve) => session.on('complete', () => resolve()))
  session.on('*', ({ type }) => type !== 'delta' && kinds.push(type))
  await session.execute('later').accepted
  await complete
  stop()
  expect(texts).toEqual(['You said: later'])
  expect(kinds).toEqual(expect.arrayContaining(['prompt', 'text', 'complete']))
})

test('when handlers can no longer be fed, `failed` is told', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const error = await new Promise<unknown>((resolve) => client.session('ses_unknown').on('failed', resolve))
  expect(error).toMatchObject({ code: 'session_not_found' })
})

test('a one-shot prompt has a session of its own, closed afterwards', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const seen: string[] = []
  const { sessionId, complete } = await client.run('Hi', { name: 'once', onItem: ({ type }) => seen.push(type) })
  expect(complete).toMatchObject({ result: 'success', text: 'You said: Hi' })
  expect(seen.at(-1)).toBe('complete')
  expect(await client.sessions.get(sessionId)).toMatchObject({ name: 'once', status: 'closed' })
})

test('a large prompt goes over HTTP', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const session = client.session((await client.sessions.create()).id)
  const text = 'x'.repeat(300_000)
  expect(await session.execute(text).complete()).toMatchObject({ text: `You said: ${text}` })
  expect(api.received.some(({ type }) => type === 'execute')).toBe(false)
})

test('after close every reader ends with an error, and new ones are refused', async () => {
  await using api = await startFakeApi()
  const { info } = api.createSession()
  const client = createClient({ url: api.url, timing })
  const following = collect(client.session(info.id).events())
  await expect.poll(() => api.sockets.open.size).toBe(1)
  client.close()
  await expect(following).rejects.toMatchObject({ code: 'client_closed' })
  await expect(collect(client.session(info.id).events())).rejects.toMatchObject({ code: 'client_closed' })
  await expect(client.session(info.id).execute('x').accepted).rejects.toMatchObject({ code: 'client_closed' })
})

test('a prompt for which the server closes the connection as too large is refused, not sent again for ever', async () => {
  await using api = await startFakeApi()
  await using client = createClient({ url: api.url, timing })
  const { info } = api.createSession()
  api.refuse('execute', 'not_ready', Number.POSITIVE_INFINITY)
  const { accepted } = client.session(info.id).execute('x')
  await expect.poll(() => api.received.length).toBeGreaterThan(0)
  for (const socket of api.sockets.open) socket.close(1009)
  await expect(accepted).rejects.toMatchObject({ code: 'payload_too_large', status: 413 })
})
