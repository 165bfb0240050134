import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDecoder } from './decode.ts'

const uuid = '45a6942f-d0cc-4bc8-b7c0-c1dc4c40cbfe'

const lineOf = (event: object, more: object = {}): string =>
  JSON.stringify({ type: 'stream_event', event, session_id: uuid, parent_tool_use_id: null, uuid, ...more })

const start = (index: number): string =>
  lineOf({ type: 'content_block_start', index, content_block: { type: 'text', text: '' } })

const delta = (index: number, text: string, more: object = {}): string =>
  lineOf({ type: 'content_block_delta', index, delta: { type: 'text_delta', text } }, more)

/** The same line for JSON, and no line that claude would write. */
const spaced = (line: string): string => JSON.stringify(JSON.parse(line), null, 1)

const decodeAll = (lines: string[]) => {
  const decoder = createDecoder({ generation: 1 })
  return lines.flatMap((text, at) => decoder.decode({ kind: 'whole', start: at, text }))
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    ' tok1',
    '"',
    '\\',
    '\\"',
    'ends with \\',
    '"}},"uuid":"',
    'ä',
    '😀',
    '\n',
    uuid,
    '{"type":"result"}',
  ),
)
const line = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom(0, 1), text).map(([index, said]) => delta(index, said)) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1).map(start) },
  { weight: 1, arbitrary: text.map((said) => delta(0, said, { uuid: 'another', parent_tool_use_id: 'toolu_1' })) },
  { weight: 1, arbitrary: fc.constantFrom('', 'no JSON', '{"type":"keep_alive"}', delta(0, 'cut off').slice(0, -5)) },
)

test('lines that are understood by comparing them mean what parsing says they mean', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
      const reference = lines.map((one) => (one.startsWith('{') && one.endsWith('}') ? spaced(one) : one))
      expect(decodeAll([start(0), start(1), ...lines])).toEqual(decodeAll([start(0), start(1), ...reference]))
    }),
  )
})

test('a thousand deltas of a block add up to its text', () => {
  const pieces = Array.from({ length: 1000 }, (_, index) => ` token "${index}"`.slice(0, 3 + (index % 12)))
  const said = decodeAll([start(0), ...pieces.map((piece) => delta(0, piece))])
  expect(said.map((output) => (output.kind === 'delta' ? output.delta.text : output.kind)).join('')).toBe(
    pieces.join(''),
  )
})
