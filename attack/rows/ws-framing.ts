import { frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { request, runFamily, type Case } from '../lib/ws-cases.ts'

const sizes = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1_048_576]

/** In pieces of so many bytes. */
const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))

const textCases = sizes.flatMap((size): Case[] => {
  const whole = frame(opcodes.text, size < 40 ? ' '.repeat(size) : request(size))
  const expected = size < 40 ? 'error invalid_json' : 'message pong'
  return [
    { name: `text of ${size} bytes`, expected, bytes: [whole] },
    ...(size > 200 ? [] : [{ name: `text of ${size} bytes, byte by byte`, expected, bytes: cut(whole, 1) }]),
    ...(size < 65_535 ? [] : [{ name: `text of ${size} bytes in pieces of 997`, expected, bytes: cut(whole, 997) }]),
  ]
})

const binaryCases = sizes.map((size): Case => ({
  name: `binary of ${size} bytes`,
  expected: 'error invalid_request',
  bytes: [frame(opcodes.binary, Buffer.alloc(size, 0xfe))],
}))

const padded = ([16, 64] as const).map((width): Case => ({
  name: `a short text whose length is written in ${width} bits`,
  expected: 'message pong or close 1002',
  bytes: [frame(opcodes.text, request(), { width })],
}))

export const wsFraming: Row = {
  name: 'ws-framing',
  title: 'WebSocket frames: texts and binaries of 0 bytes to 1 MB, whole and in pieces',
  expected: 'answered, whatever the size and the pieces',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...textCases,
      ...binaryCases,
      ...padded,
      {
        name: 'a hundred requests in one piece',
        expected: 'message pong ×100',
        bytes: [Buffer.concat(Array.from({ length: 100 }, () => frame(opcodes.text, request())))],
        answers: 100,
      },
    ]),
}
