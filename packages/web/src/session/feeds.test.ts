import { AicmError, blocksOf, type Client } from '@aicm/client'
import type { StreamItem } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { createFeeds, type Feed } from './feeds.ts'

const time = '2026-01-01T00:00:00.000Z'
const prompt = (seq: number): StreamItem => ({
  type: 'prompt',
  seq,
  time,
  turnId: `t${seq}`,
  content: [{ type: 'text', text: 'hi' }],
  userId: 'u',
})
const text = (seq: number, block: string, words: string): StreamItem => ({
  type: 'text',
  seq,
  time,
  turnId: 't1',
  block,
  text: words,
})
const delta = (after: number, at: number, words: string): StreamItem => ({
  type: 'delta',
  after,
  block: 'b1',
  kind: 'text',
  at,
  text: words,
  turnId: 't1',
})

/** A log that can be read from a position; `more` adds to it. */
const fakeLog = (items: StreamItem[], end?: Error) => {
  const reads: number[] = []
  const session = () => ({
    async *events({ after = 0, signal }: { after?: number; signal?: AbortSignal }) {
      reads.push(after)
      for (const item of items) if (item.type === 'delta' || item.seq > after) yield item
      if (end !== undefined) throw end
      await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
    },
  })
  return { client: { session } as unknown as Pick<Client, 'session'>, reads, items }
}
const until = (feed: Feed, fact: () => boolean) =>
  new Promise<void>((resolve) => {
    const look = () => fact() && resolve()
    feed.subscribe(look)
    look()
  })
const shown = (feed: Feed) =>
  blocksOf(feed.state().transcript).map((block) => `${block.kind}:${block.state}:${block.text}`)

test('a conversation is kept while nobody looks, and goes on after its last whole message', async () => {
  const log = fakeLog([prompt(1), delta(1, 0, 'Hel')])
  const feed = createFeeds({ client: log.client, noteError: () => {} }).of('ses_1')
  const leave = feed.follow()
  await until(feed, () => shown(feed).length === 2)
  leave()
  log.items.push(delta(1, 0, 'Hello'), text(2, 'b1', 'Hello!'), prompt(3))
  const again = feed.follow()
  await until(feed, () => feed.state().transcript.seq === 3)
  again()
  expect(log.reads).toEqual([0, 1])
  expect(shown(feed)).toEqual(['prompt:done:hi', 'text:done:Hello!', 'prompt:done:hi'])
})

test('two users of a feed share one reader', async () => {
  const log = fakeLog([prompt(1)])
  const feeds = createFeeds({ client: log.client, noteError: () => {} })
  const leave = [feeds.of('ses_1').follow(), feeds.of('ses_1').follow()]
  await until(feeds.of('ses_1'), () => feeds.of('ses_1').state().transcript.seq === 1)
  expect(log.reads).toEqual([0])
  for (const stop of leave) stop()
})

test('a refusal ends the feed with its error, and following again tries again', async () => {
  const error = new AicmError({ code: 'session_not_found', message: 'No such session.', status: 404 })
  const noted: unknown[] = []
  const log = fakeLog([], error)
  const feed = createFeeds({ client: log.client, noteError: (cause) => noted.push(cause) }).of('ses_1')
  const leave = feed.follow()
  await until(feed, () => feed.state().error !== undefined)
  expect(feed.state().error).toBe(error)
  expect(noted).toEqual([error])
  feed.again()
  expect(feed.state().error).toBeUndefined()
  leave()
})

test('lists hear of approvals and of changes, not of text', async () => {
  const approval: StreamItem = {
    type: 'approval',
    seq: 2,
    time,
    turnId: 't1',
    approvalId: 'apr_1',
    state: 'pending',
    toolUseId: 'x',
    tool: 'Bash',
    input: {},
    canRemember: false,
  }
  const log = fakeLog([prompt(1), approval])
  const news = await new Promise((resolve) => {
    const feed = createFeeds({ client: log.client, noteError: () => {}, onNews: resolve }).of('ses_1')
    feed.follow()
  })
  expect(news).toEqual({ approvals: true, sessions: true })
})
