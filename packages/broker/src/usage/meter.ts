import { noTokens, type Tokens } from './prices.ts'

/** What an answer says of its use, as far as it has come. */
export type Metered = { model: string; tokens: Tokens }

/** Looks at an answer as it passes; keeps a line at a time of a stream, and of another answer at most `mostWhole` bytes. */
export type Meter = {
  take(chunk: Buffer): void
  /**
   * Undefined as long as it has said nothing. An answer that was `cut` off never says how long it got: what has passed is
   * counted then, roughly, or who breaks off each answer would pay for none.
   */
  metered(cut: boolean): Metered | undefined
}

const mostLine = 256 * 1024
const mostWhole = 256 * 1024
const newline = 10
/** Of a stream, with all that is around the model's words: events carry some words each. */
const bytesOfToken = 32

type Fields = { readonly [key: string]: unknown }
const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : ({} as Fields)
const count = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined

/** Later figures replace earlier ones: they are totals of the call, not additions. */
const update = (tokens: Tokens, usage: Fields): Tokens => {
  const creation = fields(usage['cache_creation'])
  const tools = fields(usage['server_tool_use'])
  return {
    input: count(usage['input_tokens']) ?? tokens.input,
    output: count(usage['output_tokens']) ?? tokens.output,
    cacheRead: count(usage['cache_read_input_tokens']) ?? tokens.cacheRead,
    cacheWrite: count(usage['cache_creation_input_tokens']) ?? tokens.cacheWrite,
    cacheWriteHour: count(creation['ephemeral_1h_input_tokens']) ?? tokens.cacheWriteHour,
    webSearches: count(tools['web_search_requests']) ?? tokens.webSearches,
  }
}

const parse = (text: string): Fields => {
  try {
    return fields(JSON.parse(text))
  } catch {
    return {}
  }
}

/** `onBegin` is called once, when the first figures are known. */
export const createMeter = (contentType: string, onBegin: () => void): Meter => {
  let metered: Metered | undefined

  const learn = (model: unknown, usage: unknown): void => {
    const begun = metered === undefined
    metered = {
      model: typeof model === 'string' ? model : (metered?.model ?? 'unknown'),
      tokens: update(metered?.tokens ?? noTokens, fields(usage)),
    }
    if (begun) onBegin()
  }
  let passed = 0
  const read = contentType.startsWith('text/event-stream') ? streamReader(learn) : wholeReader(learn)
  return {
    take: (chunk) => {
      passed += chunk.length
      read(chunk)
    },
    metered: (cut) => {
      if (metered === undefined || !cut) return metered
      const { model, tokens } = metered
      return { model, tokens: { ...tokens, output: Math.max(tokens.output, Math.ceil(passed / bytesOfToken)) } }
    },
  }
}

type Learn = (model: unknown, usage: unknown) => void

const wantedEvents = ['event: message_start', 'event: message_delta', 'event:message_start', 'event:message_delta']
const wantedData = ['data: {"type":"message_start"', 'data: {"type":"message_delta"']
/** In every line that counts, and in few others. */
const needle = Buffer.from('message_')
const longestHead = Math.max(...[...wantedEvents, ...wantedData].map(({ length }) => length)) + 1

/**
 * Of the many lines of a stream a handful are looked at, and two are parsed: where nothing in a piece can be one of them it is
 * not even cut into lines, or the broker would be slower than the model API.
 */
const streamReader = (learn: Learn): Meter['take'] => {
  /** The line that the last piece ended in. */
  let parts: Buffer[] = []
  let length = 0
  /** The next line is the data of an event that counts. */
  let wanted = false

  const endLine = (line: Buffer): void => {
    if (line.length === 0 || (line.length === 1 && line[0] === 13)) {
      wanted = false
      return
    }
    const head = line.toString('latin1', 0, longestHead).trimEnd()
    if (head.startsWith('event')) {
      wanted = wantedEvents.includes(head)
      return
    }
    if (!head.startsWith('data:') || !(wanted || wantedData.some((start) => head.startsWith(start)))) return
    const event = parse(line.toString('utf8', 'data:'.length))
    const message = fields(event['message'])
    if (event['type'] === 'message_start') learn(message['model'], message['usage'])
    if (event['type'] === 'message_delta') learn(undefined, event['usage'])
  }

  return (chunk) => {
    let from = 0
    const first = chunk.indexOf(newline)
    if (first !== -1 && length > 0) {
      endLine(Buffer.concat([...parts, chunk.subarray(0, first)]))
      from = first + 1
      parts = []
      length = 0
    }
    if (first !== -1 && !wanted && chunk.indexOf(needle, from) === -1) from = chunk.lastIndexOf(newline) + 1
    for (let at = chunk.indexOf(newline, from); at !== -1; at = chunk.indexOf(newline, from)) {
      endLine(chunk.subarray(from, at))
      from = at + 1
    }
    if (from === chunk.length) return
    // One too long to keep is none of the two that count.
    if (length < mostLine) parts.push(chunk.subarray(from))
    length += chunk.length - from
  }
}

/** Small answers are parsed; of large ones the figures are looked for at the end, where the API puts them. */
const wholeReader = (learn: Learn): Meter['take'] => {
  let kept = Buffer.alloc(0)
  let cut = false
  return (chunk) => {
    kept = Buffer.concat([kept, chunk])
    if (kept.length > mostWhole) {
      kept = kept.subarray(kept.length - mostWhole / 2)
      cut = true
    }
    // Whole only with its last byte, which is a brace.
    if (kept.at(-1) !== 0x7d && kept.at(-2) !== 0x7d) return
    const text = kept.toString('utf8')
    if (!cut) {
      const message = parse(text)
      if (message['usage'] !== undefined) learn(message['model'], message['usage'])
      return
    }
    const usage = /(?<!\\)"usage"\s*:\s*(\{(?:[^{}]|\{[^{}]*\})*\})(?![\s\S]*(?<!\\)"usage"\s*:)/.exec(text)
    if (usage !== null) learn(undefined, parse(usage[1] ?? ''))
  }
}
