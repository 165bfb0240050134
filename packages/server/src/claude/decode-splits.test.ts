import { recordings } from '@aicm/testing/recordings'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSplitter } from '../process/split-lines.ts'
import { createDecoder } from './decode.ts'
import type { AgentOutput } from './output.ts'

/** What a reader makes of a journal that comes in these pieces, as `ingest` reads it. */
const read = (pieces: Buffer[]): AgentOutput[] => {
  const splitter = createSplitter({ from: 0, maxBytes: 8e6 })
  const decoder = createDecoder({ generation: 1 })
  const outputs = pieces.flatMap((piece) => splitter.push(piece)).flatMap((line) => decoder.decode(line))
  return [...outputs, ...decoder.end()]
}

/** Of the long lists in `init` lines only that they are there. */
const shortened = [...recordings()].map(
  ([name, text]) => [name, Buffer.from(text.replaceAll(/\[[^[\]]{200,}\]/g, '[]'))] as const,
)

test('every line of every recording, cut in two at every byte, is the same line, and so is the next one', () => {
  const next = Buffer.from('{"next":1}\n')
  for (const [name, bytes] of shortened)
    for (let start = 0; start < bytes.length;) {
      const end = bytes.indexOf(10, start) + 1
      const line = bytes.subarray(start, end)
      const expected = [line.toString('utf8', 0, line.length - 1), '{"next":1}']
      for (let cut = 0; cut <= line.length; cut++) {
        const splitter = createSplitter({ from: 0, maxBytes: 8e6 })
        const lines = [line.subarray(0, cut), Buffer.concat([line.subarray(cut), next])].flatMap(splitter.push)
        const texts = lines.map((found) => found.kind === 'whole' && found.text)
        if (texts[0] !== expected[0] || texts[1] !== expected[1] || texts.length !== 2)
          expect(texts, `${name}, line at ${start}, cut at ${cut}`).toEqual(expected)
      }
      start = end
    }
})

test('in whatever pieces a recording comes, it means the same', () => {
  for (const [name, bytes] of shortened) {
    const whole = read([bytes])
    expect(whole.length, name).toBeGreaterThan(0)
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 30 }), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        expect(read(places.slice(1).map((end, index) => bytes.subarray(places[index], end)))).toEqual(whole)
      }),
      { numRuns: 30 },
    )
  }
})

test('bytes that are no UTF-8, NULs and newlines anywhere in a recording: no line behind them is lost', () => {
  const sentinel = Buffer.from(
    `{"type":"command_lifecycle","command_uuid":"00000000-0000-4000-8000-00000000000f","state":"completed"}\n`,
  )
  const damage = fc.array(
    fc.record({ at: fc.nat(), byte: fc.oneof(fc.constant(0), fc.constant(10), fc.integer({ min: 128, max: 255 })) }),
    { minLength: 1, maxLength: 20 },
  )
  for (const [, bytes] of shortened)
    fc.assert(
      fc.property(damage, (places) => {
        const damaged = Buffer.from(bytes)
        for (const { at, byte } of places) damaged[at % damaged.length] = byte
        const outputs = read([damaged, Buffer.from('\n'), sentinel])
        expect(outputs.filter(({ kind }) => kind === 'prompt').at(-1)).toMatchObject({
          turnId: '00000000-0000-4000-8000-00000000000f',
          state: 'completed',
        })
      }),
      { numRuns: 30 },
    )
})

test('of a flood of lines that are no message the first are told, the rest are counted', () => {
  const flood = Buffer.from('no message\n'.repeat(100_000))
  const good = Buffer.from('{"type":"command_lifecycle","command_uuid":"x","state":"completed"}\n')
  const outputs = read([flood, good, Buffer.from('again\n')])
  expect(outputs).toHaveLength(20 + 1 + 1 + 1)
  expect(outputs.slice(19)).toMatchObject([
    { draft: { subtype: 'unparsed', data: 'no message' } },
    { draft: { subtype: 'unparsed', data: { lines: 100_000, bytes: 1_000_000 } } },
    { kind: 'prompt' },
    { draft: { subtype: 'unparsed', data: 'again' } },
  ])
  // The process ended before it said anything else.
  expect(read([flood]).at(-1)).toMatchObject({ draft: { data: { lines: 100_000 } } })
})

test('a hundred megabytes in a row that are no message are said to be garbage, once', () => {
  const decoder = createDecoder({ generation: 1 })
  const line = 'x'.repeat(1_000_000)
  const said = Array.from({ length: 250 }, (_, start) => decoder.decode({ kind: 'whole', start, text: line })).flat()
  expect(said.filter(({ kind }) => kind === 'garbage')).toHaveLength(1)
})
