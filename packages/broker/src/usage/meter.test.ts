import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMeter } from './meter.ts'
import { createPricing } from './prices.ts'

const usage = { input_tokens: 10, cache_creation_input_tokens: 20, cache_read_input_tokens: 30, output_tokens: 1 }
const sse = (event: { type: string; [field: string]: unknown }): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
const words = 'Grüße, "usage": {"input_tokens": 999}'
const stream = [
  { type: 'message_start', message: { model: 'claude-opus-5', usage } },
  { type: 'ping' },
  ...Array.from({ length: 5 }, () => ({ type: 'content_block_delta', delta: { type: 'text_delta', text: words } })),
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 77 } },
  { type: 'message_stop' },
]
const text = stream.map(sse).join('')
const tokens = { input: 10, output: 77, cacheRead: 30, cacheWrite: 20, cacheWriteHour: 0, webSearches: 0 }

const feed = (contentType: string, parts: Buffer[]) => {
  let begun = 0
  const meter = createMeter(contentType, () => begun++)
  for (const part of parts) meter.take(part)
  return { meter, begun: () => begun }
}

test('of a stream the last figures count, wherever it is cut into pieces', () => {
  const bytes = Buffer.from(text)
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      const parts = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
      const { meter, begun } = feed('text/event-stream; charset=utf-8', parts)
      expect(meter.metered(false)).toEqual({ model: 'claude-opus-5', tokens })
      expect(begun()).toBe(1)
    }),
  )
})

test('names of fields in another order, lines that end with CR LF, and events without a name are understood', () => {
  const event = JSON.stringify({ message: { usage, model: 'claude-opus-5' }, type: 'message_start' })
  const named = feed('text/event-stream', [Buffer.from(`event: message_start\r\ndata: ${event}\r\n\r\n`)])
  expect(named.meter.metered(false)).toMatchObject({ model: 'claude-opus-5', tokens: { input: 10 } })
  const bare = feed('text/event-stream', [Buffer.from(`data: ${JSON.stringify(stream[0])}\n\n`)])
  expect(bare.meter.metered(false)).toMatchObject({ model: 'claude-opus-5' })
})

test('a stream that breaks off counts what has passed, not the one token that it began with', () => {
  const cut = text.slice(0, text.indexOf('event: message_delta'))
  const { meter } = feed('text/event-stream', [Buffer.from(cut)])
  expect(meter.metered(false)?.tokens.output).toBe(1)
  expect(meter.metered(true)?.tokens.output).toBeGreaterThan(10)
})

test('a stream that says nothing of its use, or nonsense, is not metered', () => {
  for (const nonsense of ['', 'data: {"type":"message_start"', 'event: message_start\ndata: {]\n\n', '\n\n\n'])
    expect(feed('text/event-stream', [Buffer.from(`${nonsense}\n`)]).meter.metered(true)).toBeUndefined()
})

test('a line of many megabytes is not kept', () => {
  const before = process.memoryUsage().arrayBuffers
  const long = Buffer.alloc(64 * 1024, 'x')
  const { meter } = feed(
    'text/event-stream',
    Array.from({ length: 512 }, () => long),
  )
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024)
  meter.take(Buffer.from(`\n${text}`))
  expect(meter.metered(false)).toEqual({ model: 'claude-opus-5', tokens })
})

test('of an answer that is no stream the usage is found, small or large, and never in its content', () => {
  for (const size of [10, 2_000_000]) {
    const message = {
      model: 'claude-opus-5',
      content: [
        { type: 'tool_use', input: { usage: { input_tokens: 5 } } },
        { type: 'text', text: words.padEnd(size) },
      ],
      usage: { ...usage, cache_creation: { ephemeral_1h_input_tokens: 20 }, output_tokens: 77 },
    }
    const bytes = Buffer.from(JSON.stringify(message))
    const parts = Array.from({ length: Math.ceil(bytes.length / 50_000) }, (_, index) =>
      bytes.subarray(index * 50_000, (index + 1) * 50_000),
    )
    expect(feed('application/json', parts).meter.metered(false)?.tokens).toEqual({ ...tokens, cacheWriteHour: 20 })
  }
})

test('a cost is by kind; a model without a price costs what the dearest does, and says so', () => {
  const pricing = createPricing({ 'claude-own': { input: 1, output: 2, cacheRead: 0.5 } })
  const million = { input: 1e6, output: 1e6, cacheRead: 1e6, cacheWrite: 2e6, cacheWriteHour: 1e6, webSearches: 3 }
  // 5 + 25 + 0.5 + 6.25 + 10 and three searches.
  expect(pricing.cost('claude-opus-4-5-20251101', million)).toEqual({ usd: 46.78, known: true })
  expect(pricing.cost('us.anthropic.claude-opus-4-5-20251101-v1:0', million).usd).toBeCloseTo(46.78)
  expect(pricing.cost('claude-own-3', million).usd).toBeCloseTo(1 + 2 + 0.5 + 1.25 + 2 + 0.03)
  // Opus 4 and 4.1 cost three times as much as those after them.
  expect(pricing.cost('claude-opus-4-1-20250805', million).usd).toBeGreaterThan(100)
  const unknown = pricing.cost('gpt', million)
  expect(unknown.known).toBe(false)
  expect(unknown.usd).toBeGreaterThanOrEqual(pricing.cost('claude-3-opus-20240229', million).usd)
})
