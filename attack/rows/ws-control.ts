import { frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { request, runFamily, type Case } from '../lib/ws-cases.ts'

const { ping, pong, close, text } = opcodes

const tooLong = [ping, pong, close].flatMap((opcode): Case[] =>
  [126, 65_536].map((size) => ({
    name: `a control frame (${opcode}) of ${size} bytes`,
    expected: 'close 1002',
    bytes: [frame(opcode, Buffer.alloc(size))],
  })),
)

export const wsControl: Row = {
  name: 'ws-control',
  title: 'WebSocket pings and pongs: every size, unsolicited, too long, in fragments',
  expected: 'a pong with the same payload; nothing for a pong; 1002 for what is too long or in fragments',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...[0, 1, 124, 125].map((size): Case => ({
        name: `a ping of ${size} bytes`,
        expected: `pong of ${size}`,
        bytes: [frame(ping, Buffer.alloc(size, 0xff))],
      })),
      {
        name: 'a ping byte by byte',
        expected: 'pong of 5',
        bytes: Array.from(frame(ping, 'hello'), (byte) => Buffer.from([byte])),
      },
      {
        name: 'ten pings at once',
        expected: Array.from({ length: 10 }, (_, at) => `pong of ${at}`).join(', '),
        bytes: [Buffer.concat(Array.from({ length: 10 }, (_, at) => frame(ping, 'x'.repeat(at))))],
        answers: 10,
      },
      ...['', 'never asked for'].map((payload): Case => ({
        name: `a pong that nobody asked for, of ${payload.length} bytes`,
        expected: 'message pong',
        bytes: [frame(pong, payload), frame(text, request())],
      })),
      ...tooLong,
      ...[ping, pong].map((opcode): Case => ({
        name: `a control frame (${opcode}) that is a fragment`,
        expected: 'close 1002',
        bytes: [frame(opcode, 'x', { fin: false })],
      })),
    ]),
}
