import { closePayload, frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { runFamily, type Case } from '../lib/ws-cases.ts'

const { text, continuation, close } = opcodes

/** Requests whose `ref` holds it: valid text comes back. */
const around = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('{"type":"ping","ref":"'), bytes, Buffer.from('"}')])

const valid: [string, string][] = [
  ['two bytes', 'κόσμε'],
  ['three bytes', '中文한'],
  ['four bytes', '😀𐍈'],
  ['the last of one, two and three bytes', '\u007f\u07ff\uffff'],
  ['the first of two, three and four bytes', '\u0080\u0800\u{10000}'],
  ['the ends of the surrogates', '\ud7ff\ue000'],
  ['the last there is', '\u{10ffff}'],
  ['what is no character', '\ufffe\uffff\ufdd0'],
]

const invalid: [string, number[]][] = [
  ['a continuation byte alone', [0x80]],
  ['a lead byte alone', [0xc3]],
  ['a lead byte before a letter', [0xc3, 0x28]],
  ['three bytes without the last', [0xe4, 0xb8]],
  ['four bytes without the last', [0xf0, 0x9f, 0x98]],
  ['an overlong slash of two bytes', [0xc0, 0xaf]],
  ['an overlong slash of three bytes', [0xe0, 0x80, 0xaf]],
  ['an overlong slash of four bytes', [0xf0, 0x80, 0x80, 0xaf]],
  ['an overlong zero', [0xc0, 0x80]],
  ['the largest overlong of two bytes', [0xc1, 0xbf]],
  ['the largest overlong of three bytes', [0xe0, 0x9f, 0xbf]],
  ['the largest overlong of four bytes', [0xf0, 0x8f, 0xbf, 0xbf]],
  ['the first surrogate', [0xed, 0xa0, 0x80]],
  ['the last surrogate', [0xed, 0xbf, 0xbf]],
  ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ['past U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a form of five bytes', [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ['a form of six bytes', [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80]],
  ['0xfe', [0xfe]],
  ['0xff', [0xff]],
]

const spoiled = Buffer.from('{"type":"ping","ref":"κόσμε 中文 😀"}')

export const wsUtf8: Row = {
  name: 'ws-utf8',
  title: 'WebSocket texts: UTF-8 valid and not, at every position, split across fragments and pieces',
  expected: 'valid text answered, else 1007',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...valid.flatMap(([name, string]): Case[] => {
        const bytes = around(Buffer.from(string))
        const cuts = Array.from({ length: Buffer.byteLength(string) + 1 }, (_, at) => 22 + at)
        return [
          { name, expected: 'message pong', bytes: [frame(text, bytes)] },
          ...cuts.map((at) => ({
            name: `${name}, in two fragments after byte ${at}`,
            expected: 'message pong',
            bytes: [
              frame(text, bytes.subarray(0, at), { fin: false }),
              frame(continuation, bytes.subarray(at), { fin: true }),
            ],
          })),
        ]
      }),
      ...invalid.flatMap(([name, numbers]): Case[] => {
        const bytes = around(Buffer.from(numbers))
        const whole = frame(text, bytes)
        return [
          { name, expected: 'close 1007', bytes: [whole] },
          { name: `${name}, at the end`, expected: 'close 1007', bytes: [frame(text, Buffer.from(numbers))] },
          {
            name: `${name}, byte by byte`,
            expected: 'close 1007',
            bytes: Array.from(whole, (byte) => Buffer.from([byte])),
          },
          {
            name: `${name}, in two fragments`,
            expected: 'close 1007',
            bytes: [frame(text, bytes.subarray(0, 23), { fin: false }), frame(continuation, bytes.subarray(23))],
          },
          {
            name: `${name}, as the reason of a close`,
            expected: 'close 1007',
            bytes: [frame(close, closePayload(1000, Buffer.from(numbers)))],
          },
        ]
      }),
      ...Array.from({ length: spoiled.length }, (_, at): Case => {
        const bytes = Buffer.from(spoiled)
        bytes[at] = 0xff
        return { name: `0xff at byte ${at}`, expected: 'close 1007', bytes: [frame(text, bytes)] }
      }),
    ]),
}
