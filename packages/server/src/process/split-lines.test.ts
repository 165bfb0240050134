import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordings } from '@aicm/testing/recordings'
import { createSplitter, type Line } from './split-lines.ts'

const split = (chunks: Buffer[], { from = 0, maxBytes = 1000 } = {}): { lines: Line[]; pending: number } => {
  const splitter = createSplitter({ from, maxBytes })
  // The caller's buffer is used again after each push.
  const shared = Buffer.alloc(Math.max(1, ...chunks.map((chunk) => chunk.length)))
  const lines = chunks.flatMap((chunk) => {
    chunk.copy(shared)
    const found = splitter.push(shared.subarray(0, chunk.length))
    shared.fill(0)
    return found
  })
  return { lines, pending: splitter.pending() }
}

/** The bytes in pieces, cut where `cuts` say. */
const cutAt = (bytes: Buffer, cuts: number[]): Buffer[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end))
}

/** Bytes with many newlines, and with what is no UTF-8. */
const stream = fc
  .array(fc.oneof(fc.constant(10), fc.constant(0), fc.integer({ min: 0, max: 255 })), { maxLength: 400 })
  .map((bytes) => Buffer.from(bytes))

test('however a stream is cut, its lines and their offsets are the same', () => {
  fc.assert(
    fc.property(
      stream,
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.integer({ min: 5, max: 300 }),
      (bytes, cuts, maxBytes) => {
        expect(split(cutAt(bytes, cuts), { maxBytes })).toEqual(split([bytes], { maxBytes }))
      },
    ),
    { numRuns: 500 },
  )
})

test('lines are what lies between newlines, each with its exact place in the file', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 20 }), fc.nat({ max: 1e12 }), (bytes, cuts, from) => {
      const { lines, pending } = split(cutAt(bytes, cuts), { from })
      let at = from
      for (const line of lines) {
        expect(line.start).toBe(at)
        expect(bytes[line.end - 1 - from]).toBe(10)
        const raw = bytes.subarray(line.start - from, line.end - 1 - from)
        expect(raw.includes(10)).toBe(false)
        expect(line).toMatchObject({ kind: 'whole', text: raw.toString('utf8') })
        at = line.end
      }
      expect(pending).toBe(from + bytes.length - at)
    }),
    { numRuns: 500 },
  )
})

test('every recording of the real claude gives the same lines wherever it is cut in two', () => {
  for (const [name, recording] of recordings()) {
    // The long lists in `init` lines add nothing here but time.
    const bytes = Buffer.from(recording.replaceAll(/\[[^[\]]{200,}\]/g, '[]'))
    const whole = split([bytes], { maxBytes: 1e6 }).lines
    expect(whole.map((line) => line.kind === 'whole' && JSON.parse(line.text).type)).not.toContain(false)
    const step = Math.max(1, Math.floor(bytes.length / 500))
    for (let cut = 0; cut <= bytes.length; cut += step) {
      const { lines } = split([bytes.subarray(0, cut), bytes.subarray(cut)], { maxBytes: 1e6 })
      if (JSON.stringify(lines) !== JSON.stringify(whole)) expect(lines, `${name} cut at ${cut}`).toEqual(whole)
    }
  }
})

test('a line of 100 MB is counted, not held, and the next one is as good as any', () => {
  const splitter = createSplitter({ from: 0, maxBytes: 8 * 1024 * 1024 })
  const chunk = Buffer.alloc(256 * 1024, 'x')
  const before = process.memoryUsage()
  const used = (): number => process.memoryUsage().arrayBuffers - before.arrayBuffers
  let most = 0
  for (let pushed = 0; pushed < 400; pushed++) {
    expect(splitter.push(chunk)).toEqual([])
    if (pushed % 20 === 0) most = Math.max(most, used())
  }
  expect(splitter.pending()).toBe(400 * chunk.length)
  // 8 MB are held before the line is known to be too long; the collector decides when they go.
  expect(most).toBeLessThan(40 * 1024 * 1024)
  const [long, next] = splitter.push(Buffer.from('\n{"ok":1}\n'))
  expect(long).toMatchObject({ kind: 'oversized', start: 0, bytes: 400 * chunk.length, end: 400 * chunk.length + 1 })
  expect(long?.kind === 'oversized' && long.head).toBe('x'.repeat(2000))
  expect(next).toMatchObject({ kind: 'whole', text: '{"ok":1}', start: 400 * chunk.length + 1 })
})

test('a line of exactly the limit is whole, one byte more is not', () => {
  expect(split([Buffer.from('12345\n123456\n')], { maxBytes: 5 }).lines).toMatchObject([
    { kind: 'whole', text: '12345' },
    { kind: 'oversized', head: '123456', bytes: 6 },
  ])
})

test('bytes that are no UTF-8 become replacement characters, and a NUL stays one', () => {
  const { lines } = split([Buffer.from('a\xff\0b\n', 'latin1'), Buffer.from('ü\n')])
  expect(lines).toMatchObject([
    { text: 'a\ufffd\0b', start: 0, end: 5 },
    { text: 'ü', start: 5, end: 8 },
  ])
})
